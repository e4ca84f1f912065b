// AdamW: a template over the parameters' type, bf16 parameters rounded to nearest, three steps.
#include <cuda_bf16.h>

#include "check.h"

struct Settings {
  float rate = 1e-2f, beta1 = 0.9f, beta2 = 0.95f, epsilon = 1e-8f, decay = 0.1f;
};

__host__ __device__ inline float update(float parameter, float gradient, float& m, float& v, float c1, float c2, Settings s) {
  m = s.beta1 * m + (1 - s.beta1) * gradient;
  v = s.beta2 * v + (1 - s.beta2) * gradient * gradient;
  return parameter - s.rate * (m / c1 / (sqrtf(v / c2) + s.epsilon) + s.decay * parameter);
}

template <class T>
__global__ void step(T* parameters, const float* gradients, float* m, float* v, int n, float c1, float c2, Settings settings) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) parameters[i] = T(update(float(parameters[i]), gradients[i], m[i], v[i], c1, c2, settings));
}

template <class T>
void train(const char* name, double tolerance) {
  constexpr int n = 777;
  const Settings settings;
  std::vector<T> parameters;
  for (float value : random_floats(n, 1)) parameters.push_back(T(value));
  const std::vector<float> gradients = random_floats(n, 2), zeros(n);
  const OnCard<T> p(parameters);
  const OnCard<float> g(gradients), m(zeros), v(zeros);
  std::vector<float> host_m(n), host_v(n), got, wanted;
  for (int t = 1; t <= 3; ++t) {
    const float c1 = 1 - std::pow(settings.beta1, t), c2 = 1 - std::pow(settings.beta2, t);
    step<T><<<(n + 127) / 128, 128>>>(p, g, m, v, n, c1, c2, settings);
    for (int i = 0; i < n; ++i)
      parameters[i] = T(update(float(parameters[i]), gradients[i], host_m[i], host_v[i], c1, c2, settings));
  }
  for (const T& value : p.read()) got.push_back(float(value));
  for (const T& value : parameters) wanted.push_back(float(value));
  expect(name, got, wanted, tolerance);
  expect("second moment", v.read(), host_v, 1e-6);
}

int main() {
  train<float>("float", 1e-6);
  train<__nv_bfloat16>("bfloat16", 4e-3);
}
