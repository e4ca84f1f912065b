// GELU by tanh of float16 numbers: one thread per element, computed in float32.
#include <torch/extension.h>
#include <cuda_fp16.h>

__global__ void gelu_kernel(const __half* x, __half* y, int64_t n) {
  int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  if (i >= n) return;
  float v = __half2float(x[i]);
  float inner = 0.7978845608028654f * (v + 0.044715f * v * v * v);
  y[i] = __float2half(0.5f * v * (1.0f + tanhf(inner)));
}

torch::Tensor forward(torch::Tensor x) {
  auto y = torch::empty_like(x);
  int64_t n = x.numel();
  int threads = 256;
  gelu_kernel<<<(n + threads - 1) / threads, threads>>>(
      reinterpret_cast<const __half*>(x.data_ptr()), reinterpret_cast<__half*>(y.data_ptr()), n);
  return y;
}
