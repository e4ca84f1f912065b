// Means of packed sequences: a block per sequence and 64 columns. An empty sequence gives zeros.
#include <torch/extension.h>

constexpr int kThreads = 64;

__global__ void jagged_mean_kernel(const float* x, const int64_t* offset, float* y, int width) {
  int at = blockIdx.x * kThreads + threadIdx.x;
  if (at >= width) return;
  int64_t first = offset[blockIdx.y], last = offset[blockIdx.y + 1];
  float total = 0.0f;
  for (int64_t token = first; token < last; ++token) total += x[token * width + at];
  y[static_cast<int64_t>(blockIdx.y) * width + at] = last > first ? total / (last - first) : 0.0f;
}

torch::Tensor forward(torch::Tensor x, torch::Tensor offset) {
  int width = x.size(1), sequences = offset.numel() - 1;
  auto y = torch::empty({sequences, width}, x.options());
  jagged_mean_kernel<<<dim3((width + kThreads - 1) / kThreads, sequences), kThreads>>>(
      x.data_ptr<float>(), offset.data_ptr<int64_t>(), y.data_ptr<float>(), width);
  return y;
}
