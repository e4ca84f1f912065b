// x x^T: only tiles on and above the diagonal are computed, each result is stored twice.
#include <torch/extension.h>

constexpr int kThreads = 256;
constexpr int kTile = 64;
constexpr int kDepth = 16;
constexpr int kEach = 4;
constexpr int kSide = kTile / kEach;  // threads along each side of a tile

__global__ void gram_kernel(const float* x, float* y, int m, int n, int k) {
  __shared__ float tile_a[kDepth][kTile + 1];  // one column more: transposed stores hit different banks
  __shared__ float tile_b[kDepth][kTile + 1];
  if (blockIdx.x < blockIdx.y) return;
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
      tile_b[i % kDepth][i / kDepth] = depth < k && col < n ? x[static_cast<int64_t>(col) * k + depth] : 0.0f;
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
        y[static_cast<int64_t>(row) * n + col] = total[i][j];
        if (blockIdx.x != blockIdx.y) y[static_cast<int64_t>(col) * n + row] = total[i][j];
      }
    }
  }
}

torch::Tensor forward(torch::Tensor x) {
  int m = x.size(0), k = x.size(1);
  auto y = torch::empty({m, m}, x.options());
  dim3 grid((m + kTile - 1) / kTile, (m + kTile - 1) / kTile);
  gram_kernel<<<grid, kThreads>>>(x.data_ptr<float>(), y.data_ptr<float>(), m, m, k);
  return y;
}
