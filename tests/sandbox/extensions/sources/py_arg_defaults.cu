#include <torch/extension.h>
#include <string>

__global__ void affine(const float* x, float* y, float a, float b, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i] + b;
}

torch::Tensor affine_forward(torch::Tensor x, double a, int64_t b, bool negate, const std::string& mode, c10::optional<double> extra) {
  TORCH_CHECK(mode == "plain" || mode == "fancy", "unknown mode ", mode);
  if (negate) a = -a;
  if (mode == "fancy") b += 1;
  if (extra.has_value()) a += *extra;
  auto y = torch::empty_like(x);
  affine<<<(x.numel() + 127) / 128, 128>>>(x.data_ptr<float>(), y.data_ptr<float>(), a, b, x.numel());
  return y;
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.def("forward", &affine_forward, "a * x + b", py::arg("x"), py::arg("a") = 1.5, py::arg("b") = 2, py::arg("negate") = true,
        py::arg("mode") = "fancy", py::arg("extra") = py::none());
}
