// Sparse rows times a dense matrix: a block per row, threads along the width; the row's entries are read by all.
#include <torch/extension.h>

constexpr int kThreads = 64;

__global__ void spmm_kernel(const float* value, const int64_t* col, const float* x, float* y, int slots, int width) {
  int64_t row = blockIdx.x;
  for (int at = threadIdx.x; at < width; at += kThreads) {
    float total = 0.0f;
    for (int s = 0; s < slots; ++s) total += value[row * slots + s] * x[col[row * slots + s] * width + at];
    y[row * width + at] = total;
  }
}

torch::Tensor forward(torch::Tensor value, torch::Tensor col, torch::Tensor x) {
  int rows = value.size(0), slots = value.size(1), width = x.size(1);
  auto y = torch::empty({rows, width}, x.options());
  spmm_kernel<<<rows, kThreads>>>(
      value.data_ptr<float>(), col.data_ptr<int64_t>(), x.data_ptr<float>(), y.data_ptr<float>(), slots, width);
  return y;
}
