// Matrix times vector: one warp per row, lanes along the row.
#include <torch/extension.h>

constexpr int kWarps = 4;

__global__ void matvec_kernel(const float* matrix, const float* vector, float* y, int rows, int cols) {
  int row = blockIdx.x * kWarps + threadIdx.y;
  if (row >= rows) return;
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += 32) total += matrix[static_cast<int64_t>(row) * cols + i] * vector[i];
  for (int offset = 16; offset > 0; offset /= 2) total += __shfl_xor_sync(0xffffffffu, total, offset);
  if (threadIdx.x == 0) y[row] = total;
}

torch::Tensor forward(torch::Tensor matrix, torch::Tensor vector) {
  int rows = matrix.size(0), cols = matrix.size(1);
  auto y = torch::empty({rows}, matrix.options());
  matvec_kernel<<<(rows + kWarps - 1) / kWarps, dim3(32, kWarps)>>>(
      matrix.data_ptr<float>(), vector.data_ptr<float>(), y.data_ptr<float>(), rows, cols);
  return y;
}
