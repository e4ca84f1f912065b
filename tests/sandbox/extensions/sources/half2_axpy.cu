#include <torch/extension.h>
#include <cuda_fp16.h>

__global__ void axpy_half2(const __half2* __restrict__ x, const __half2* __restrict__ y, __half2* __restrict__ out, float a, int pairs) {
  const __half2 scale = __float2half2_rn(a);
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < pairs; i += gridDim.x * blockDim.x) {
    out[i] = __hfma2(scale, x[i], y[i]);
  }
}

torch::Tensor forward(torch::Tensor x, torch::Tensor y) {
  TORCH_CHECK(x.scalar_type() == torch::kHalf, "x must be half");
  TORCH_CHECK(x.numel() % 2 == 0, "an even number of elements is needed, not ", x.numel());
  auto out = torch::empty_like(x);
  const int pairs = static_cast<int>(x.numel() / 2);
  axpy_half2<<<32, 128>>>(reinterpret_cast<const __half2*>(x.data_ptr<at::Half>()),
                          reinterpret_cast<const __half2*>(y.data_ptr<at::Half>()),
                          reinterpret_cast<__half2*>(out.data_ptr<at::Half>()), 1.5f, pairs);
  return out;
}
