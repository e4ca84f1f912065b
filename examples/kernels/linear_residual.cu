// Linear layer with bias and residual added while the result is still in registers.
#include <torch/extension.h>

constexpr int kThreads = 256;
constexpr int kTile = 64;
constexpr int kDepth = 16;
constexpr int kEach = 4;
constexpr int kSide = kTile / kEach;  // threads along each side of a tile

__global__ void linear_residual_kernel(
    const float* x, const float* residual, const float* weight, const float* bias, float* y, int m, int n,
    int k) {
  __shared__ float tile_a[kDepth][kTile + 1];  // one column more: transposed stores hit different banks
  __shared__ float tile_b[kDepth][kTile + 1];
  int first_row = blockIdx.y * kTile, first_col = blockIdx.x * kTile;
  int ty = threadIdx.x / kSide, tx = threadIdx.x % kSide;
  float total[kEach][kEach] = {};
  for (int start = 0; start < k; start += kDepth) {
    for (int i = threadIdx.x; i < kTile * kDepth; i += kThreads) {
      int depth = start + i % kDepth, row = first_row + i / kDepth;
      tile_a[i % kDepth][i / kDepth] = depth < k && row < m ? x[static_cast<int64_t>(row) * k + depth] : 0.0f;
    }
    for (int i = threadIdx.x; i < kTile * kDepth; i += kThreads) {
      int depth = start + i % kDepth, col = first_col + i / kDepth;
      tile_b[i % kDepth][i / kDepth] = depth < k && col < n ? weight[static_cast<int64_t>(col) * k + depth] : 0.0f;
    }
    __syncthreads();
    for (int depth = 0; depth < kDepth; ++depth) {
      float a[kEach], b[kEach];
      for (int e = 0; e < kEach; ++e) a[e] = tile_a[depth][ty + e * kSide];
      for (int e = 0; e < kEach; ++e) b[e] = tile_b[depth][tx + e * kSide];
      for (int i = 0; i < kEach; ++i) {
        for (int j = 0; j < kEach; ++j) total[i][j] += a[i] * b[j];
      }
    }
    __syncthreads();
  }
  for (int i = 0; i < kEach; ++i) {
    for (int j = 0; j < kEach; ++j) {
      int row = first_row + ty + i * kSide, col = first_col + tx + j * kSide;
      if (row < m && col < n) {
        int64_t at = static_cast<int64_t>(row) * n + col;
        y[at] = total[i][j] + bias[col] + residual[at];
      }
    }
  }
}

torch::Tensor forward(torch::Tensor x, torch::Tensor residual, torch::Tensor weight, torch::Tensor bias) {
  int m = x.size(0), k = x.size(1), n = weight.size(0);
  auto y = torch::empty({m, n}, x.options());
  dim3 grid((n + kTile - 1) / kTile, (m + kTile - 1) / kTile);
  linear_residual_kernel<<<grid, kThreads>>>(
      x.data_ptr<float>(), residual.data_ptr<float>(), weight.data_ptr<float>(), bias.data_ptr<float>(),
      y.data_ptr<float>(), m, n, k);
  return y;
}
