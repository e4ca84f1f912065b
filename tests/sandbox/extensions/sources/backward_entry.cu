#include <torch/extension.h>

__global__ void sigmoid_forward(const float* x, float* y, int n) { int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) y[i] = 1.f / (1.f + expf(-x[i])); }
__global__ void sigmoid_backward(const float* g, const float* y, float* d, int n) { int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) d[i] = g[i] * y[i] * (1.f - y[i]); }

torch::Tensor sigmoid_fwd(torch::Tensor x) {
  auto y = torch::empty_like(x);
  sigmoid_forward<<<(x.numel() + 63) / 64, 64>>>(x.data_ptr<float>(), y.data_ptr<float>(), x.numel());
  return y;
}
std::vector<torch::Tensor> sigmoid_bwd(torch::Tensor grad, torch::Tensor y) {
  auto d = torch::empty_like(grad);
  sigmoid_backward<<<(y.numel() + 63) / 64, 64>>>(grad.data_ptr<float>(), y.data_ptr<float>(), d.data_ptr<float>(), y.numel());
  return {d};
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.def("forward", &sigmoid_fwd, "forward");
  m.def("backward", &sigmoid_bwd, "backward");
}
