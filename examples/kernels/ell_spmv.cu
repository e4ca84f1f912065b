// Rows with the same number of entries: a group of eight lanes per row, so that short rows still fill the warp.
#include <torch/extension.h>

constexpr int kThreads = 128;
constexpr int kLanes = 8;

__global__ void ell_kernel(const float* value, const int64_t* col, const float* x, float* y, int rows, int slots) {
  int row = (blockIdx.x * kThreads + threadIdx.x) / kLanes;
  int lane = threadIdx.x % kLanes;
  float total = 0.0f;
  if (row < rows) {
    for (int s = lane; s < slots; s += kLanes) {
      int64_t at = static_cast<int64_t>(row) * slots + s;
      total += value[at] * x[col[at]];
    }
  }
  for (int offset = kLanes / 2; offset > 0; offset /= 2) total += __shfl_xor_sync(0xffffffffu, total, offset);
  if (row < rows && lane == 0) y[row] = total;
}

torch::Tensor forward(torch::Tensor value, torch::Tensor col, torch::Tensor x) {
  int rows = value.size(0), slots = value.size(1);
  auto y = torch::empty({rows}, value.options());
  constexpr int kRows = kThreads / kLanes;
  ell_kernel<<<(rows + kRows - 1) / kRows, kThreads>>>(
      value.data_ptr<float>(), col.data_ptr<int64_t>(), x.data_ptr<float>(), y.data_ptr<float>(), rows, slots);
  return y;
}
