// Depthwise 7 x 7 convolution: a block keeps a tile of 16 x 16 with its halo, and the 49 weights, in shared memory.
#include <torch/extension.h>

constexpr int kTile = 16;
constexpr int kSize = 7;
constexpr int kHalo = kSize / 2;
constexpr int kSpan = kTile + kSize - 1;

__global__ void depthwise_kernel(
    const float* x, const float* weight, const float* bias, float* y, int channels, int height, int width) {
  __shared__ float tile[kSpan][kSpan];
  __shared__ float taps[kSize * kSize];
  int channel = blockIdx.z % channels;
  const float* plane = x + static_cast<int64_t>(blockIdx.z) * height * width;
  int top = blockIdx.y * kTile - kHalo, left = blockIdx.x * kTile - kHalo;
  int thread = threadIdx.y * kTile + threadIdx.x;
  for (int i = thread; i < kSize * kSize; i += kTile * kTile) taps[i] = weight[channel * kSize * kSize + i];
  for (int i = thread; i < kSpan * kSpan; i += kTile * kTile) {
    int row = top + i / kSpan, col = left + i % kSpan;
    bool inside = row >= 0 && row < height && col >= 0 && col < width;
    tile[i / kSpan][i % kSpan] = inside ? plane[row * width + col] : 0.0f;
  }
  __syncthreads();
  int row = blockIdx.y * kTile + threadIdx.y, col = blockIdx.x * kTile + threadIdx.x;
  if (row >= height || col >= width) return;
  float total = bias[channel];
  for (int u = 0; u < kSize; ++u) {
    for (int v = 0; v < kSize; ++v) total += taps[u * kSize + v] * tile[threadIdx.y + u][threadIdx.x + v];
  }
  y[(static_cast<int64_t>(blockIdx.z) * height + row) * width + col] = total;
}

torch::Tensor forward(torch::Tensor x, torch::Tensor weight, torch::Tensor bias) {
  auto y = torch::empty_like(x);
  int samples = x.size(0), channels = x.size(1), height = x.size(2), width = x.size(3);
  dim3 grid((width + kTile - 1) / kTile, (height + kTile - 1) / kTile, samples * channels);
  depthwise_kernel<<<grid, dim3(kTile, kTile)>>>(
      x.data_ptr<float>(), weight.data_ptr<float>(), bias.data_ptr<float>(), y.data_ptr<float>(), channels, height,
      width);
  return y;
}
