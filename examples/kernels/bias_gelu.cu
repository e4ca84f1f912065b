// Bias and exact GELU in one pass.
#include <torch/extension.h>

constexpr int kThreads = 128;

__global__ void bias_gelu_kernel(const float* x, const float* bias, float* y, int cols) {
  int col = blockIdx.x * kThreads + threadIdx.x;
  if (col >= cols) return;
  int64_t i = static_cast<int64_t>(blockIdx.y) * cols + col;
  float z = x[i] + bias[col];
  y[i] = 0.5f * z * (1.0f + erff(z * 0.7071067811865476f));
}

torch::Tensor forward(torch::Tensor x, torch::Tensor bias) {
  auto y = torch::empty_like(x);
  int rows = x.size(0), cols = x.size(1);
  dim3 grid((cols + kThreads - 1) / kThreads, rows);
  bias_gelu_kernel<<<grid, kThreads>>>(x.data_ptr<float>(), bias.data_ptr<float>(), y.data_ptr<float>(), cols);
  return y;
}
