// Grouped product: grid layers are the tiles of 128 rows, each of which names its expert's matrix.
#include <torch/extension.h>

constexpr int kThreads = 256;
constexpr int kTile = 64;
constexpr int kDepth = 16;
constexpr int kEach = 4;
constexpr int kSide = kTile / kEach;  // threads along each side of a tile

__global__ void grouped_kernel(
    const float* x, const int64_t* expert, const float* weight, float* y, int m, int n, int k) {
  __shared__ float tile_a[kDepth][kTile + 1];  // one column more: transposed stores hit different banks
  __shared__ float tile_b[kDepth][kTile + 1];
  int64_t matrix = expert[blockIdx.z] * static_cast<int64_t>(k) * n;
  int64_t rows_before = static_cast<int64_t>(blockIdx.z) * m;
  int first_row = blockIdx.y * kTile, first_col = blockIdx.x * kTile;
  int ty = threadIdx.x / kSide, tx = threadIdx.x % kSide;
  float total[kEach][kEach] = {};
  for (int start = 0; start < k; start += kDepth) {
    for (int i = threadIdx.x; i < kTile * kDepth; i += kThreads) {
      int depth = start + i % kDepth, row = first_row + i / kDepth;
      tile_a[i % kDepth][i / kDepth] = depth < k && row < m ? x[(rows_before + row) * k + depth] : 0.0f;
    }
    for (int i = threadIdx.x; i < kTile * kDepth; i += kThreads) {
      int depth = start + i / kTile, col = first_col + i % kTile;
      tile_b[i / kTile][i % kTile] =
          depth < k && col < n ? weight[matrix + static_cast<int64_t>(depth) * n + col] : 0.0f;
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
      if (row < m && col < n) y[(rows_before + row) * n + col] = total[i][j];
    }
  }
}

torch::Tensor forward(torch::Tensor x, torch::Tensor expert, torch::Tensor weight) {
  int tiles = x.size(0), m = x.size(1), k = x.size(2), n = weight.size(2);
  auto y = torch::empty({tiles, m, n}, x.options());
  dim3 grid((n + kTile - 1) / kTile, (m + kTile - 1) / kTile, tiles);
  grouped_kernel<<<grid, kThreads>>>(
      x.data_ptr<float>(), expert.data_ptr<int64_t>(), weight.data_ptr<float>(), y.data_ptr<float>(), m, n, k);
  return y;
}
