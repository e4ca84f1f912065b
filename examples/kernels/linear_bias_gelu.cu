// gelu(x W^T + b) with 16 x 16 tiles in shared memory; the activation is the exact GELU, by erf.
#include <torch/extension.h>

constexpr int kTile = 16;

__device__ float gelu(float v) {
  return 0.5f * v * (1.0f + erff(v * 0.7071067811865476f));
}

__global__ void linear_gelu_kernel(
    const float* x, const float* weight, const float* bias, float* y, int m, int n, int k) {
  __shared__ float tile_x[kTile][kTile];
  __shared__ float tile_w[kTile][kTile + 1];
  int row = blockIdx.y * kTile + threadIdx.y;
  int col = blockIdx.x * kTile + threadIdx.x;
  int weight_row = blockIdx.x * kTile + threadIdx.y;
  float total = 0.0f;
  for (int start = 0; start < k; start += kTile) {
    int i = start + threadIdx.x;
    tile_x[threadIdx.y][threadIdx.x] = row < m && i < k ? x[static_cast<int64_t>(row) * k + i] : 0.0f;
    tile_w[threadIdx.y][threadIdx.x] =
        weight_row < n && i < k ? weight[static_cast<int64_t>(weight_row) * k + i] : 0.0f;
    __syncthreads();
    for (int j = 0; j < kTile; ++j) total += tile_x[threadIdx.y][j] * tile_w[threadIdx.x][j];
    __syncthreads();
  }
  if (row < m && col < n) y[static_cast<int64_t>(row) * n + col] = gelu(total + bias[col]);
}

torch::Tensor forward(torch::Tensor x, torch::Tensor weight, torch::Tensor bias) {
  int m = x.size(0), k = x.size(1), n = weight.size(0);
  auto y = torch::empty({m, n}, x.options());
  dim3 grid((n + kTile - 1) / kTile, (m + kTile - 1) / kTile);
  linear_gelu_kernel<<<grid, dim3(kTile, kTile)>>>(
      x.data_ptr<float>(), weight.data_ptr<float>(), bias.data_ptr<float>(), y.data_ptr<float>(), m, n, k);
  return y;
}
