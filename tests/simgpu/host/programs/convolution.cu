// Separable convolution: coefficients in constant memory, rows with a halo in shared memory, then columns.
#include "check.h"

constexpr int kRadius = 4, kBlock = 64;
__constant__ float coefficients[2 * kRadius + 1];

__global__ void rows(const float* in, float* out, int width) {
  __shared__ float line[kBlock + 2 * kRadius];
  const int start = blockIdx.x * kBlock, y = blockIdx.y;
  for (int i = threadIdx.x; i < kBlock + 2 * kRadius; i += kBlock) {
    const int x = start + i - kRadius;
    line[i] = x >= 0 && x < width ? in[y * width + x] : 0;
  }
  __syncthreads();
  if (start + int(threadIdx.x) >= width) return;
  float sum = 0;
#pragma unroll
  for (int k = 0; k <= 2 * kRadius; ++k) sum += coefficients[k] * line[threadIdx.x + k];
  out[y * width + start + threadIdx.x] = sum;
}

__global__ void columns(const float* in, float* out, int width, int height) {
  const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
  if (x >= width) return;
  float sum = 0;
  for (int k = -kRadius; k <= kRadius; ++k)
    if (y + k >= 0 && y + k < height) sum += coefficients[k + kRadius] * in[(y + k) * width + x];
  out[y * width + x] = sum;
}

int main() {
  constexpr int width = 200, height = 77;
  const std::vector<float> image = random_floats(width * height, 3), weights = random_floats(2 * kRadius + 1, 5);
  std::vector<float> between(image.size()), wanted(image.size());
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int k = -kRadius; k <= kRadius; ++k)
        if (x + k >= 0 && x + k < width) between[y * width + x] += weights[k + kRadius] * image[y * width + x + k];
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int k = -kRadius; k <= kRadius; ++k)
        if (y + k >= 0 && y + k < height) wanted[y * width + x] += weights[k + kRadius] * between[(y + k) * width + x];
  CUDA_OK(cudaMemcpyToSymbol(coefficients, weights.data(), weights.size() * sizeof(float)));
  const OnCard<float> input(image), middle(image.size()), output(image.size());
  const dim3 grid((width + kBlock - 1) / kBlock, height);
  rows<<<grid, kBlock>>>(input, middle, width);
  columns<<<grid, kBlock>>>(middle, output, width, height);
  expect("convolution", output.read(), wanted, 1e-5);
}
