// Keeps a scratch tensor from call to call and computes everything anew: an honest look-alike of a kept result.
#include <torch/extension.h>

__global__ void relu_kernel(const float* x, float* y, int64_t n) {
  int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  if (i < n) y[i] = fmaxf(x[i], 0.0f);
}

torch::Tensor forward(torch::Tensor x) {
  static torch::Tensor scratch;
  int64_t n = x.numel();
  auto y = torch::empty_like(x);
  if (!scratch.defined() || scratch.numel() < n) scratch = torch::empty({n}, x.options());
  relu_kernel<<<(n + 255) / 256, 256>>>(x.data_ptr<float>(), scratch.data_ptr<float>(), n);
  relu_kernel<<<(n + 255) / 256, 256>>>(scratch.data_ptr<float>(), y.data_ptr<float>(), n);
  return y;
}
