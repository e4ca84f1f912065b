// One AdamW step, four numbers per thread where everything lies on 16 bytes.
#include <torch/extension.h>

#include <cmath>
#include <tuple>

constexpr int kThreads = 256;
constexpr float kRate = 1e-3f, kDecay = 0.1f, kBeta1 = 0.9f, kBeta2 = 0.95f, kEpsilon = 1e-8f;
constexpr int kStep = 10;

struct Corrections {
  float first, second;  // 1 - beta^step
};

__device__ void step(float& p, float g, float& m, float& v, Corrections by) {
  m = kBeta1 * m + (1.0f - kBeta1) * g;
  v = kBeta2 * v + (1.0f - kBeta2) * g * g;
  p = p * (1.0f - kRate * kDecay) - kRate * (m / by.first) / (sqrtf(v / by.second) + kEpsilon);
}

__global__ void adamw_kernel(
    const float* p, const float* g, const float* m, const float* v, float* new_p, float* new_m, float* new_v, int64_t n,
    bool aligned, Corrections by) {
  int64_t vector = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  int64_t start = vector * 4;
  if (aligned && start + 4 <= n) {
    float4 p4 = reinterpret_cast<const float4*>(p)[vector], g4 = reinterpret_cast<const float4*>(g)[vector];
    float4 m4 = reinterpret_cast<const float4*>(m)[vector], v4 = reinterpret_cast<const float4*>(v)[vector];
    step(p4.x, g4.x, m4.x, v4.x, by);
    step(p4.y, g4.y, m4.y, v4.y, by);
    step(p4.z, g4.z, m4.z, v4.z, by);
    step(p4.w, g4.w, m4.w, v4.w, by);
    reinterpret_cast<float4*>(new_p)[vector] = p4;
    reinterpret_cast<float4*>(new_m)[vector] = m4;
    reinterpret_cast<float4*>(new_v)[vector] = v4;
    return;
  }
  for (int64_t i = start; i < n && i < start + 4; ++i) {
    float one_p = p[i], one_m = m[i], one_v = v[i];
    step(one_p, g[i], one_m, one_v, by);
    new_p[i] = one_p;
    new_m[i] = one_m;
    new_v[i] = one_v;
  }
}

bool on_16_bytes(const torch::Tensor& tensor) {
  return reinterpret_cast<uintptr_t>(tensor.data_ptr<float>()) % 16 == 0;
}

std::tuple<torch::Tensor, torch::Tensor, torch::Tensor> forward(
    torch::Tensor p, torch::Tensor g, torch::Tensor m, torch::Tensor v) {
  auto new_p = torch::empty_like(p), new_m = torch::empty_like(m), new_v = torch::empty_like(v);
  bool aligned = on_16_bytes(p) && on_16_bytes(g) && on_16_bytes(m) && on_16_bytes(v) && on_16_bytes(new_p) &&
                 on_16_bytes(new_m) && on_16_bytes(new_v);
  int64_t n = p.numel(), vectors = (n + 3) / 4;
  Corrections by = {
      static_cast<float>(1.0 - std::pow(0.9, kStep)), static_cast<float>(1.0 - std::pow(0.95, kStep))};
  adamw_kernel<<<(vectors + kThreads - 1) / kThreads, kThreads>>>(
      p.data_ptr<float>(), g.data_ptr<float>(), m.data_ptr<float>(), v.data_ptr<float>(), new_p.data_ptr<float>(),
      new_m.data_ptr<float>(), new_v.data_ptr<float>(), n, aligned, by);
  return {new_p, new_m, new_v};
}
