// One Lion step: the sign of a blend moves the parameter.
#include <torch/extension.h>

#include <tuple>

constexpr int kThreads = 256;
constexpr float kRate = 1e-4f, kDecay = 0.1f;

__global__ void lion_kernel(const float* p, const float* g, const float* m, float* new_p, float* new_m, int64_t n) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= n) return;
  float blend = 0.9f * m[i] + 0.1f * g[i];
  float sign = blend > 0.0f ? 1.0f : blend < 0.0f ? -1.0f : 0.0f;
  new_p[i] = p[i] * (1.0f - kRate * kDecay) - kRate * sign;
  new_m[i] = 0.99f * m[i] + 0.01f * g[i];
}

std::tuple<torch::Tensor, torch::Tensor> forward(torch::Tensor p, torch::Tensor g, torch::Tensor m) {
  auto new_p = torch::empty_like(p), new_m = torch::empty_like(m);
  int64_t n = p.numel();
  lion_kernel<<<(n + kThreads - 1) / kThreads, kThreads>>>(
      p.data_ptr<float>(), g.data_ptr<float>(), m.data_ptr<float>(), new_p.data_ptr<float>(), new_m.data_ptr<float>(),
      n);
  return {new_p, new_m};
}
