// Soft cap of logits, one element per thread.
#include <torch/extension.h>

constexpr int kThreads = 256;
constexpr float kCap = 30.0f;

__global__ void soft_cap_kernel(const float* x, float* y, int64_t n) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < n) y[i] = kCap * tanhf(x[i] / kCap);
}

torch::Tensor forward(torch::Tensor x) {
  auto y = torch::empty_like(x);
  int64_t n = x.numel();
  soft_cap_kernel<<<(n + kThreads - 1) / kThreads, kThreads>>>(x.data_ptr<float>(), y.data_ptr<float>(), n);
  return y;
}
