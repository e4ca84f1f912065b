#include <torch/extension.h>

__global__ void saxpy_into(float* out, const float* x, float a, int64_t n) {
  int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
  if (i < n) out[i] += a * x[i];
}

void saxpy_(torch::Tensor& out, const torch::Tensor& x, float a) {
  TORCH_CHECK(out.sizes() == x.sizes(), "sizes differ: ", out.sizes(), " and ", x.sizes());
  saxpy_into<<<(x.numel() + 255) / 256, 256>>>(out.data_ptr<float>(), x.data_ptr<float>(), a, x.numel());
}

torch::Tensor forward(torch::Tensor x, torch::Tensor y) {
  auto out = y.clone();
  saxpy_(out, x, 3.0f);
  saxpy_(out, x, -0.5f);
  return out;
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.def("saxpy_", &saxpy_, "in place");
  m.def("forward", [](torch::Tensor x, torch::Tensor y) { return forward(x, y); });
}
