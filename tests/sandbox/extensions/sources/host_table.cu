// Constants made on the host and moved to the card, as KernelBench's attention example does with its running maxima.
#include <torch/extension.h>

__global__ void scale(const float* x, const float* table, float* largest, float* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  y[i] = x[i] * table[i % 5];
  if (i == 0) largest[0] = fmaxf(largest[0], table[4]);
}

std::vector<torch::Tensor> forward(torch::Tensor x) {
  torch::Tensor table = torch::empty({5}, torch::kFloat32);
  for (int i = 0; i < 5; ++i) table.data_ptr<float>()[i] = 0.5f * i;
  torch::Tensor largest = torch::full({1}, -INFINITY);
  torch::Device device(torch::kCUDA);
  table = table.to(x.device());
  largest = largest.to(device);
  torch::Tensor y = torch::empty_like(x);
  const int n = x.numel();
  scale<<<(n + 127) / 128, 128>>>(x.data_ptr<float>(), table.data_ptr<float>(), largest.data_ptr<float>(),
                                  y.data_ptr<float>(), n);
  return {y, largest};
}
