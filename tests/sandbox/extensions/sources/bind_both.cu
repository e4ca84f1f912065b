#include <torch/extension.h>

__global__ void scale_kernel(const float* x, float* y, float s, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = s * x[i];
}

static torch::Tensor scale(torch::Tensor x, double s) {
  auto y = torch::empty_like(x);
  int n = x.numel();
  scale_kernel<<<(n + 255) / 256, 256>>>(x.data_ptr<float>(), y.data_ptr<float>(), (float)s, n);
  return y;
}
torch::Tensor doubled(torch::Tensor x) { return scale(x, 2.0); }
torch::Tensor halved(torch::Tensor x) { return scale(x, 0.5); }

TORCH_LIBRARY(kernelwright_scales, m) {
  m.def("doubled(Tensor x) -> Tensor", &doubled);
  m.def("halved(Tensor x) -> Tensor", &halved);
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.doc() = "scales";
  m.def("backward", &halved, "half of it");
  m.def("forward", &doubled, "twice as much");
  m.def("scale", &scale, py::arg("x"), py::arg("s"));
}
