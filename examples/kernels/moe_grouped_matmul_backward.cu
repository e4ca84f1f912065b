// Gradients of the grouped product. The first kernel multiplies each tile's gradient with its expert's transposed
// matrix; in the second a block owns a patch of one expert's matrix and walks all tiles, skipping those of other
// experts. An expert without tiles gets zeros.
#include <torch/extension.h>

#include <tuple>

constexpr int kTile = 16;

__global__ void rows_kernel(
    const float* grad, const int64_t* expert, const float* weight, float* result, int m, int n, int k) {
  __shared__ float tile_grad[kTile][kTile], tile_weight[kTile][kTile + 1];
  const float* matrix = weight + expert[blockIdx.z] * static_cast<int64_t>(k) * n;
  int64_t rows_before = static_cast<int64_t>(blockIdx.z) * m;
  int row = blockIdx.y * kTile + threadIdx.y, col = blockIdx.x * kTile + threadIdx.x;
  float total = 0.0f;
  for (int start = 0; start < n; start += kTile) {
    int across = start + threadIdx.x, weight_row = blockIdx.x * kTile + threadIdx.y;
    tile_grad[threadIdx.y][threadIdx.x] = row < m && across < n ? grad[(rows_before + row) * n + across] : 0.0f;
    tile_weight[threadIdx.y][threadIdx.x] =
        weight_row < k && across < n ? matrix[static_cast<int64_t>(weight_row) * n + across] : 0.0f;
    __syncthreads();
    for (int i = 0; i < kTile; ++i) total += tile_grad[threadIdx.y][i] * tile_weight[threadIdx.x][i];
    __syncthreads();
  }
  if (row < m && col < k) result[(rows_before + row) * k + col] = total;
}

__global__ void weight_kernel(
    const float* grad, const float* x, const int64_t* expert, float* result, int tiles, int m, int n, int k) {
  __shared__ float tile_x[kTile][kTile], tile_grad[kTile][kTile];
  int row = blockIdx.y * kTile + threadIdx.y, col = blockIdx.x * kTile + threadIdx.x;
  float total = 0.0f;
  for (int tile = 0; tile < tiles; ++tile) {
    if (expert[tile] != blockIdx.z) continue;  // the same for all threads of the block
    for (int start = 0; start < m; start += kTile) {
      int token = start + threadIdx.y, x_col = blockIdx.y * kTile + threadIdx.x;
      int64_t at = static_cast<int64_t>(tile) * m + token;
      tile_x[threadIdx.y][threadIdx.x] = token < m && x_col < k ? x[at * k + x_col] : 0.0f;
      tile_grad[threadIdx.y][threadIdx.x] = token < m && col < n ? grad[at * n + col] : 0.0f;
      __syncthreads();
      for (int i = 0; i < kTile; ++i) total += tile_x[i][threadIdx.y] * tile_grad[i][threadIdx.x];
      __syncthreads();
    }
  }
  if (row < k && col < n) result[(static_cast<int64_t>(blockIdx.z) * k + row) * n + col] = total;
}

std::tuple<torch::Tensor, torch::Tensor> backward(
    torch::Tensor grad, torch::Tensor x, torch::Tensor expert, torch::Tensor weight) {
  int tiles = x.size(0), m = x.size(1), k = x.size(2), experts = weight.size(0), n = weight.size(2);
  auto rows = torch::empty_like(x);
  auto matrices = torch::empty_like(weight);
  dim3 threads(kTile, kTile);
  rows_kernel<<<dim3((k + kTile - 1) / kTile, (m + kTile - 1) / kTile, tiles), threads>>>(
      grad.data_ptr<float>(), expert.data_ptr<int64_t>(), weight.data_ptr<float>(), rows.data_ptr<float>(), m, n, k);
  weight_kernel<<<dim3((n + kTile - 1) / kTile, (k + kTile - 1) / kTile, experts), threads>>>(
      grad.data_ptr<float>(), x.data_ptr<float>(), expert.data_ptr<int64_t>(), matrices.data_ptr<float>(), tiles, m, n,
      k);
  return {rows, matrices};
}
