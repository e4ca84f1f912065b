// Grouped product with SwiGLU: every thread sums the gate's and the other half's element of the same column, so that
// the activation needs no second pass.
#include <torch/extension.h>

constexpr int kTile = 32;
constexpr int kRows = 8;  // threads along the rows of a tile, each with four rows
constexpr int kEach = kTile / kRows;

__global__ void grouped_swiglu_kernel(
    const float* x, const int64_t* expert, const float* weight, float* y, int m, int hidden, int inputs) {
  __shared__ float tile_x[kTile][kTile];
  __shared__ float tile_gate[kTile][kTile];
  __shared__ float tile_up[kTile][kTile];
  const float* matrix = weight + expert[blockIdx.z] * static_cast<int64_t>(inputs) * 2 * hidden;
  int64_t rows_before = static_cast<int64_t>(blockIdx.z) * m;
  int first_row = blockIdx.y * kTile, col = blockIdx.x * kTile + threadIdx.x;
  float gate[kEach] = {}, up[kEach] = {};
  for (int start = 0; start < inputs; start += kTile) {
    for (int r = threadIdx.y; r < kTile; r += kRows) {
      int row = first_row + r, across = start + threadIdx.x, depth = start + r;
      tile_x[r][threadIdx.x] = row < m && across < inputs ? x[(rows_before + row) * inputs + across] : 0.0f;
      bool inside = depth < inputs && col < hidden;
      tile_gate[r][threadIdx.x] = inside ? matrix[static_cast<int64_t>(depth) * 2 * hidden + col] : 0.0f;
      tile_up[r][threadIdx.x] = inside ? matrix[static_cast<int64_t>(depth) * 2 * hidden + hidden + col] : 0.0f;
    }
    __syncthreads();
    for (int depth = 0; depth < kTile; ++depth) {
      for (int e = 0; e < kEach; ++e) {
        float value = tile_x[threadIdx.y + e * kRows][depth];
        gate[e] += value * tile_gate[depth][threadIdx.x];
        up[e] += value * tile_up[depth][threadIdx.x];
      }
    }
    __syncthreads();
  }
  for (int e = 0; e < kEach; ++e) {
    int row = first_row + threadIdx.y + e * kRows;
    if (row < m && col < hidden) y[(rows_before + row) * hidden + col] = gate[e] / (1.0f + expf(-gate[e])) * up[e];
  }
}

torch::Tensor forward(torch::Tensor x, torch::Tensor expert, torch::Tensor weight) {
  int tiles = x.size(0), m = x.size(1), inputs = x.size(2), hidden = weight.size(2) / 2;
  auto y = torch::empty({tiles, m, hidden}, x.options());
  dim3 grid((hidden + kTile - 1) / kTile, (m + kTile - 1) / kTile, tiles);
  grouped_swiglu_kernel<<<grid, dim3(kTile, kRows)>>>(
      x.data_ptr<float>(), expert.data_ptr<int64_t>(), weight.data_ptr<float>(), y.data_ptr<float>(), m, hidden,
      inputs);
  return y;
}
