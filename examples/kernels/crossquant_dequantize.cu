// int8 codes times row and column scales: one thread per element, grid rows along the columns.
#include <torch/extension.h>

constexpr int kThreads = 128;

__global__ void dequantize_kernel(
    const int8_t* code, const float* row_scale, const float* col_scale, float* y, int cols) {
  int col = blockIdx.x * kThreads + threadIdx.x;
  if (col >= cols) return;
  int64_t at = static_cast<int64_t>(blockIdx.y) * cols + col;
  y[at] = code[at] * (row_scale[blockIdx.y] * col_scale[col] / 127.0f);
}

torch::Tensor forward(torch::Tensor code, torch::Tensor row_scale, torch::Tensor col_scale) {
  int rows = code.size(0), cols = code.size(1);
  auto y = torch::empty({rows, cols}, row_scale.options());
  dequantize_kernel<<<dim3((cols + kThreads - 1) / kThreads, rows), kThreads>>>(
      code.data_ptr<int8_t>(), row_scale.data_ptr<float>(), col_scale.data_ptr<float>(), y.data_ptr<float>(), cols);
  return y;
}
