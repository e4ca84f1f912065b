// Gradient of GELU (tanh form). The tanh is computed anew: cheaper than reading a stored one.
#include <torch/extension.h>

constexpr int kThreads = 256;

__device__ float gelu_slope(float x) {
  const float root = 0.7978845608028654f;  // sqrt(2 / pi)
  const float cubic = 0.044715f;
  float t = tanhf(root * (x + cubic * x * x * x));
  return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * root * (1.0f + 3.0f * cubic * x * x);
}

__global__ void gelu_backward_kernel(const float* grad, const float* x, float* result, int64_t n) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < n) result[i] = grad[i] * gelu_slope(x[i]);
}

torch::Tensor backward(torch::Tensor grad, torch::Tensor x) {
  auto result = torch::empty_like(x);
  int64_t n = x.numel();
  gelu_backward_kernel<<<(n + kThreads - 1) / kThreads, kThreads>>>(
      grad.data_ptr<float>(), x.data_ptr<float>(), result.data_ptr<float>(), n);
  return result;
}
