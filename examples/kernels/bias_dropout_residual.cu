// Bias, dropout by a given mask and residual sum in one pass. Grid columns run along the bias.
#include <torch/extension.h>

constexpr int kThreads = 128;
constexpr float kScale = 1.0f / 0.9f;

__global__ void bias_dropout_residual_kernel(
    const float* x, const float* bias, const bool* mask, const float* residual, float* y, int cols) {
  int col = blockIdx.x * kThreads + threadIdx.x;
  if (col >= cols) return;
  int64_t i = static_cast<int64_t>(blockIdx.y) * cols + col;
  float kept = mask[i] ? (x[i] + bias[col]) * kScale : 0.0f;
  y[i] = kept + residual[i];
}

torch::Tensor forward(torch::Tensor x, torch::Tensor bias, torch::Tensor mask, torch::Tensor residual) {
  auto y = torch::empty_like(x);
  int rows = x.size(0), cols = x.size(1);
  dim3 grid((cols + kThreads - 1) / kThreads, rows);
  bias_dropout_residual_kernel<<<grid, kThreads>>>(
      x.data_ptr<float>(), bias.data_ptr<float>(), mask.data_ptr<bool>(), residual.data_ptr<float>(),
      y.data_ptr<float>(), cols);
  return y;
}
