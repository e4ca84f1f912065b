// Depthwise 1 x 11 convolution along rows: a block loads a piece of a row with five more elements on each side.
#include <torch/extension.h>

constexpr int kThreads = 64;
constexpr int kSize = 11;
constexpr int kHalo = kSize / 2;

__global__ void band_kernel(
    const float* x, const float* weight, const float* bias, float* y, int channels, int height, int width) {
  __shared__ float piece[kThreads + kSize - 1];
  int first = blockIdx.x * kThreads;
  int channel = blockIdx.y / height % channels;
  int64_t offset = static_cast<int64_t>(blockIdx.y) * width;
  for (int i = threadIdx.x; i < kThreads + kSize - 1; i += kThreads) {
    int col = first + i - kHalo;
    piece[i] = col >= 0 && col < width ? x[offset + col] : 0.0f;
  }
  __syncthreads();
  int col = first + threadIdx.x;
  if (col >= width) return;
  float total = bias[channel];
  for (int v = 0; v < kSize; ++v) total += weight[channel * kSize + v] * piece[threadIdx.x + v];
  y[offset + col] = total;
}

torch::Tensor forward(torch::Tensor x, torch::Tensor weight, torch::Tensor bias) {
  auto y = torch::empty_like(x);
  int samples = x.size(0), channels = x.size(1), height = x.size(2), width = x.size(3);
  dim3 grid((width + kThreads - 1) / kThreads, samples * channels * height);
  band_kernel<<<grid, kThreads>>>(
      x.data_ptr<float>(), weight.data_ptr<float>(), bias.data_ptr<float>(), y.data_ptr<float>(), channels, height,
      width);
  return y;
}
