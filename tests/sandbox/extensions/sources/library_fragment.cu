#include <torch/all.h>
#include <torch/library.h>

__global__ void cube(const float* x, float* y, int64_t n) {
  for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < n; i += (int64_t)blockDim.x * gridDim.x) y[i] = x[i] * x[i] * x[i];
}

namespace ops {
torch::Tensor cubed(torch::Tensor x) {
  TORCH_INTERNAL_ASSERT(x.device().type() == at::DeviceType::CUDA);
  torch::Tensor y = torch::empty_like(x);
  cube<<<4, 64>>>(x.data_ptr<float>(), y.data_ptr<float>(), x.numel());
  return y;
}
}  // namespace ops

TORCH_LIBRARY_FRAGMENT(kernelwright_cubes, m) {
  m.def("forward", &ops::cubed);
}
