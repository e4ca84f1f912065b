#include <torch/extension.h>
#include <cuda_bf16.h>
#include <c10/cuda/CUDAStream.h>

using bf16 = __nv_bfloat16;
using bf162 = __nv_bfloat162;

__device__ __forceinline__ float silu(float v) { return v / (1.0f + __expf(-v)); }

__global__ void swiglu(const bf16* __restrict__ x, bf16* __restrict__ y, int half_cols) {
  const bf162* gate = reinterpret_cast<const bf162*>(x + (size_t)blockIdx.x * 2 * half_cols);
  const bf162* up = reinterpret_cast<const bf162*>(x + (size_t)blockIdx.x * 2 * half_cols + half_cols);
  bf162* out = reinterpret_cast<bf162*>(y + (size_t)blockIdx.x * half_cols);
  for (int i = threadIdx.x; i < half_cols / 2; i += blockDim.x) {
    const float2 g = __bfloat1622float2(gate[i]);
    const float2 u = __bfloat1622float2(up[i]);
    out[i] = __floats2bfloat162_rn(silu(g.x) * u.x, silu(g.y) * u.y);
  }
}

torch::Tensor forward(torch::Tensor x) {
  const int64_t rows = x.size(0);
  const int64_t half_cols = x.size(1) / 2;
  torch::Tensor y = torch::empty({rows, half_cols}, x.options());
  swiglu<<<rows, 64, 0, c10::cuda::getCurrentCUDAStream().stream()>>>(
      reinterpret_cast<const bf16*>(x.data_ptr<at::BFloat16>()), reinterpret_cast<bf16*>(y.data_ptr<at::BFloat16>()), half_cols);
  return y;
}
