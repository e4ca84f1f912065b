// Products of batches: 64 x 64 tiles of each product, 4 x 4 results in the registers of a thread.
#include <torch/extension.h>

constexpr int kThreads = 256;
constexpr int kTile = 64;
constexpr int kDepth = 16;
constexpr int kEach = 4;
constexpr int kSide = kTile / kEach;  // threads along each side of a tile

__global__ void batched_matmul_kernel(const float* a, const float* b, float* c, int m, int n, int k) {
  __shared__ float tile_a[kDepth][kTile + 1];  // one column more: transposed stores hit different banks
  __shared__ float tile_b[kDepth][kTile + 1];
  int64_t batch = blockIdx.z;
  int64_t offset_a = batch * m * k, offset_b = batch * k * n, offset_c = batch * m * n;
  int first_row = blockIdx.y * kTile, first_col = blockIdx.x * kTile;
  int ty = threadIdx.x / kSide, tx = threadIdx.x % kSide;
  float total[kEach][kEach] = {};
  for (int start = 0; start < k; start += kDepth) {
    for (int i = threadIdx.x; i < kTile * kDepth; i += kThreads) {
      int depth = start + i % kDepth, row = first_row + i / kDepth;
      tile_a[i % kDepth][i / kDepth] =
          depth < k && row < m ? a[offset_a + static_cast<int64_t>(row) * k + depth] : 0.0f;
    }
    for (int i = threadIdx.x; i < kTile * kDepth; i += kThreads) {
      int depth = start + i / kTile, col = first_col + i % kTile;
      tile_b[i / kTile][i % kTile] = depth < k && col < n ? b[offset_b + static_cast<int64_t>(depth) * n + col] : 0.0f;
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
      if (row < m && col < n) c[offset_c + static_cast<int64_t>(row) * n + col] = total[i][j];
    }
  }
}

torch::Tensor forward(torch::Tensor a, torch::Tensor b) {
  int batch = a.size(0), m = a.size(1), k = a.size(2), n = b.size(2);
  auto c = torch::empty({batch, m, n}, a.options());
  dim3 grid((n + kTile - 1) / kTile, (m + kTile - 1) / kTile, batch);
  batched_matmul_kernel<<<grid, kThreads>>>(a.data_ptr<float>(), b.data_ptr<float>(), c.data_ptr<float>(), m, n, k);
  return c;
}
