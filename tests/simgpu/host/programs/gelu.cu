// GELU by its tanh form, forward and backward, four values per thread.
#include "check.h"

constexpr float kScale = 0.7978845608028654f, kCubic = 0.044715f;

__device__ float gelu(float x) { return 0.5f * x * (1 + tanhf(kScale * (x + kCubic * x * x * x))); }

__device__ float slope(float x) {
  const float t = tanhf(kScale * (x + kCubic * x * x * x));
  return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * kScale * (1 + 3 * kCubic * x * x);
}

__global__ void forward(const float4* x, float4* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = make_float4(gelu(x[i].x), gelu(x[i].y), gelu(x[i].z), gelu(x[i].w));
}

__global__ void backward(const float4* x, const float4* dy, float4* dx, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const float4 v = x[i], g = dy[i];
  dx[i] = make_float4(slope(v.x) * g.x, slope(v.y) * g.y, slope(v.z) * g.z, slope(v.w) * g.w);
}

int main() {
  constexpr int n = 6000;
  const auto x = random_floats(n, 1, -6, 6), dy = random_floats(n, 2);
  std::vector<float> y(n), dx(n);
  for (int i = 0; i < n; ++i) {
    const double v = x[i], t = std::tanh(0.7978845608028654 * (v + 0.044715 * v * v * v));
    y[i] = 0.5 * v * (1 + t);
    dx[i] = (0.5 * (1 + t) + 0.5 * v * (1 - t * t) * 0.7978845608028654 * (1 + 3 * 0.044715 * v * v)) * dy[i];
  }
  const OnCard<float> input(x), gradient(dy), output(y.size()), result(y.size());
  const auto as4 = [](float* p) { return reinterpret_cast<float4*>(p); };
  forward<<<(n / 4 + 127) / 128, 128>>>(as4(input), as4(output), n / 4);
  backward<<<(n / 4 + 127) / 128, 128>>>(as4(input), as4(gradient), as4(result), n / 4);
  expect("forward", output.read(), y, 1e-6);
  expect("backward", result.read(), dx, 1e-5);
}
