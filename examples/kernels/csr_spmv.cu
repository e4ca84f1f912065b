// Sparse matrix in compressed rows times a vector: a warp per row walks the row's entries 32 at a time.
#include <torch/extension.h>

constexpr int kWarps = 4;

__global__ void csr_kernel(
    const float* value, const int64_t* col, const int64_t* offset, const float* x, float* y, int rows) {
  int row = blockIdx.x * kWarps + threadIdx.y;
  if (row >= rows) return;
  float total = 0.0f;
  for (int64_t i = offset[row] + threadIdx.x; i < offset[row + 1]; i += 32) total += value[i] * x[col[i]];
  for (int lanes = 16; lanes > 0; lanes /= 2) total += __shfl_xor_sync(0xffffffffu, total, lanes);
  if (threadIdx.x == 0) y[row] = total;
}

torch::Tensor forward(torch::Tensor value, torch::Tensor col, torch::Tensor offset, torch::Tensor x) {
  int rows = offset.numel() - 1;
  auto y = torch::empty({rows}, value.options());
  csr_kernel<<<(rows + kWarps - 1) / kWarps, dim3(32, kWarps)>>>(
      value.data_ptr<float>(), col.data_ptr<int64_t>(), offset.data_ptr<int64_t>(), x.data_ptr<float>(),
      y.data_ptr<float>(), rows);
  return y;
}
