// int8 product with dp4a: four neighbours along k are one word, so a thread's step is four multiply-adds. The sum is
// exact in int32; only the scaling rounds.
#include <torch/extension.h>

constexpr int kTile = 32;
constexpr int kWords = 8;  // words of four along k in a tile
constexpr int kRows = 8;   // threads along the rows of a tile, each with four rows

__device__ int packed(int a, int b, int c, int d) {
  return (a & 255) | (b & 255) << 8 | (c & 255) << 16 | (d & 255) << 24;
}

__global__ void int8_matmul_kernel(
    const int8_t* a, const int8_t* b, const float* row_scale, const float* col_scale, float* c, int m, int n, int k) {
  __shared__ int tile_a[kTile][kWords + 1];
  __shared__ int tile_b[kWords][kTile + 1];
  int first_row = blockIdx.y * kTile, first_col = blockIdx.x * kTile;
  int thread = threadIdx.y * kTile + threadIdx.x;
  int total[kTile / kRows] = {};
  auto of_a = [&](int row, int depth) { return row < m && depth < k ? a[static_cast<int64_t>(row) * k + depth] : 0; };
  auto of_b = [&](int depth, int col) { return col < n && depth < k ? b[static_cast<int64_t>(depth) * n + col] : 0; };
  for (int start = 0; start < k; start += 4 * kWords) {
    int row = first_row + thread / kWords, depth = start + thread % kWords * 4;
    tile_a[thread / kWords][thread % kWords] =
        packed(of_a(row, depth), of_a(row, depth + 1), of_a(row, depth + 2), of_a(row, depth + 3));
    int col = first_col + threadIdx.x;
    depth = start + threadIdx.y * 4;
    tile_b[threadIdx.y][threadIdx.x] =
        packed(of_b(depth, col), of_b(depth + 1, col), of_b(depth + 2, col), of_b(depth + 3, col));
    __syncthreads();
    for (int word = 0; word < kWords; ++word) {
      int right = tile_b[word][threadIdx.x];
      for (int e = 0; e < kTile / kRows; ++e) {
        total[e] = __dp4a(tile_a[threadIdx.y + e * kRows][word], right, total[e]);
      }
    }
    __syncthreads();
  }
  int col = first_col + threadIdx.x;
  for (int e = 0; e < kTile / kRows; ++e) {
    int row = first_row + threadIdx.y + e * kRows;
    if (row < m && col < n) {
      c[static_cast<int64_t>(row) * n + col] = static_cast<float>(total[e]) * row_scale[row] * col_scale[col];
    }
  }
}

torch::Tensor forward(torch::Tensor a, torch::Tensor b, torch::Tensor row_scale, torch::Tensor col_scale) {
  int m = a.size(0), k = a.size(1), n = b.size(1);
  auto c = torch::empty({m, n}, row_scale.options());
  dim3 grid((n + kTile - 1) / kTile, (m + kTile - 1) / kTile);
  int8_matmul_kernel<<<grid, dim3(kTile, kRows)>>>(
      a.data_ptr<int8_t>(), b.data_ptr<int8_t>(), row_scale.data_ptr<float>(), col_scale.data_ptr<float>(),
      c.data_ptr<float>(), m, n, k);
  return c;
}
