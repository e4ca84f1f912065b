// Linear layer with a low-rank update. The first kernel projects rows down to 16 numbers; the second runs the wide
// product and goes on, over 16 more terms, with those numbers and the up projection.
#include <torch/extension.h>

constexpr int kThreads = 256;
constexpr int kTile = 64;
constexpr int kDepth = 16;
constexpr int kEach = 4;
constexpr int kSide = kTile / kEach;  // threads along each side of a tile
constexpr int kRank = 16;
constexpr float kScale = 2.0f;

// One warp per row and rank: dot products along the row.
__global__ void down_kernel(const float* x, const float* down, float* narrow, int rows, int width) {
  int row = blockIdx.x, rank = threadIdx.y;
  float total = 0.0f;
  for (int i = threadIdx.x; i < width; i += 32) {
    total += x[static_cast<int64_t>(row) * width + i] * down[static_cast<int64_t>(rank) * width + i];
  }
  for (int offset = 16; offset > 0; offset /= 2) total += __shfl_xor_sync(0xffffffffu, total, offset);
  if (threadIdx.x == 0) narrow[row * kRank + rank] = total;
}

// Element of x, or behind it of the narrow projection, at `depth`.
__device__ float left(const float* x, const float* narrow, int row, int depth, int width) {
  return depth < width ? x[static_cast<int64_t>(row) * width + depth] : kScale * narrow[row * kRank + depth - width];
}

// Element of the weight, or behind it of the up projection, at `depth`.
__device__ float right(const float* weight, const float* up, int col, int depth, int width) {
  return depth < width ? weight[static_cast<int64_t>(col) * width + depth] : up[col * kRank + depth - width];
}

__global__ void lora_kernel(
    const float* x, const float* narrow, const float* weight, const float* up, float* y, int m, int n,
    int width) {
  __shared__ float tile_a[kDepth][kTile + 1];  // one column more: transposed stores hit different banks
  __shared__ float tile_b[kDepth][kTile + 1];
  int k = width + kRank;
  int first_row = blockIdx.y * kTile, first_col = blockIdx.x * kTile;
  int ty = threadIdx.x / kSide, tx = threadIdx.x % kSide;
  float total[kEach][kEach] = {};
  for (int start = 0; start < k; start += kDepth) {
    for (int i = threadIdx.x; i < kTile * kDepth; i += kThreads) {
      int depth = start + i % kDepth, row = first_row + i / kDepth;
      tile_a[i % kDepth][i / kDepth] = depth < k && row < m ? left(x, narrow, row, depth, width) : 0.0f;
    }
    for (int i = threadIdx.x; i < kTile * kDepth; i += kThreads) {
      int depth = start + i % kDepth, col = first_col + i / kDepth;
      tile_b[i % kDepth][i / kDepth] = depth < k && col < n ? right(weight, up, col, depth, width) : 0.0f;
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
      if (row < m && col < n) y[static_cast<int64_t>(row) * n + col] = total[i][j];
    }
  }
}

torch::Tensor forward(torch::Tensor x, torch::Tensor weight, torch::Tensor down, torch::Tensor up) {
  int m = x.size(0), width = x.size(1), n = weight.size(0);
  auto narrow = torch::empty({m, kRank}, x.options());
  auto y = torch::empty({m, n}, x.options());
  down_kernel<<<m, dim3(32, kRank)>>>(x.data_ptr<float>(), down.data_ptr<float>(), narrow.data_ptr<float>(), m, width);
  dim3 grid((n + kTile - 1) / kTile, (m + kTile - 1) / kTile);
  lora_kernel<<<grid, kThreads>>>(
      x.data_ptr<float>(), narrow.data_ptr<float>(), weight.data_ptr<float>(), up.data_ptr<float>(),
      y.data_ptr<float>(), m, n, width);
  return y;
}
