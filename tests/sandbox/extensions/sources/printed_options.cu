#include <c10/cuda/CUDAMathCompat.h>
#include <torch/extension.h>
#include <iostream>

// Half precision without its header, options in a stream, and an argument that may be none.
#define CHECK_TYPE(tensor, type)                                                                \
  if ((tensor).options().dtype() != (type)) {                                                   \
    std::cout << "got " << (tensor).options() << " of " << (tensor).sizes() << " on "           \
              << (tensor).device() << ", not " << (type) << std::endl;                          \
    throw std::runtime_error("the values must be " #type);                                      \
  }

__global__ void scaled_kernel(const half* x, const __half2* pair, half* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float value = c10::cuda::compat::max(__half2float(x[i]), 0.0f);
  y[i] = __float2half(c10::cuda::compat::sqrt(value) * __low2float(*pair) + __high2float(*pair));
}

torch::Tensor forward(torch::Tensor x, c10::optional<torch::Tensor> pair) {
  CHECK_TYPE(x, torch::kHalf)
  auto y = torch::empty_like(x);
  const int n = x.numel();
  scaled_kernel<<<(n + 127) / 128, 128>>>(reinterpret_cast<const half*>(x.data_ptr()),
                                          reinterpret_cast<const __half2*>(pair->data_ptr()),
                                          reinterpret_cast<half*>(y.data_ptr()), n);
  return y;
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.def("forward", &forward, py::arg("x"), py::arg("pair").none(true) = py::none());
}
