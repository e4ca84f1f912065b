// Both gradients of the SwiGLU gate from one sigmoid.
#include <torch/extension.h>

#include <tuple>

constexpr int kThreads = 256;

__global__ void silu_mul_backward_kernel(
    const float* grad, const float* gate, const float* up, float* gate_grad, float* up_grad, int64_t n) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= n) return;
  float x = gate[i];
  float sigmoid = 1.0f / (1.0f + expf(-x));
  gate_grad[i] = grad[i] * up[i] * sigmoid * (1.0f + x * (1.0f - sigmoid));
  up_grad[i] = grad[i] * x * sigmoid;
}

std::tuple<torch::Tensor, torch::Tensor> backward(torch::Tensor grad, torch::Tensor gate, torch::Tensor up) {
  auto gate_grad = torch::empty_like(gate);
  auto up_grad = torch::empty_like(up);
  int64_t n = gate.numel();
  silu_mul_backward_kernel<<<(n + kThreads - 1) / kThreads, kThreads>>>(
      grad.data_ptr<float>(), gate.data_ptr<float>(), up.data_ptr<float>(), gate_grad.data_ptr<float>(),
      up_grad.data_ptr<float>(), n);
  return {gate_grad, up_grad};
}
