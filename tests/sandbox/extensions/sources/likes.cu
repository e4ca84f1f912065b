#include <torch/extension.h>

__global__ void sum_all(const float* a, const float* b, const float* c, const int* d, float* out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = a[i] + b[i] + c[i] + d[i];
}

torch::Tensor forward(torch::Tensor x) {
  auto zeros = torch::zeros_like(x);
  auto ones = torch::ones_like(x, x.options());
  auto full = torch::full_like(x, 2.5);
  auto counts = torch::full(x.sizes(), 3, torch::dtype(torch::kInt32).device(x.device()));
  auto out = torch::empty_like(x, torch::TensorOptions().dtype(torch::kFloat));
  zeros.fill_(0.25f);
  ones.copy_(x);
  sum_all<<<(x.numel() + 99) / 100, 100>>>(zeros.data_ptr<float>(), ones.data_ptr<float>(), full.data_ptr<float>(),
                                          counts.data_ptr<int>(), out.data_ptr<float>(), x.numel());
  return out;
}
