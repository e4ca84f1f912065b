// Square of ReLU in a grid-stride loop: the grid is bounded, whatever the size.
#include <torch/extension.h>

#include <algorithm>

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 2048;

__global__ void squared_relu_kernel(const float* x, float* y, int64_t n) {
  int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < n; i += stride) {
    float positive = fmaxf(x[i], 0.0f);
    y[i] = positive * positive;
  }
}

torch::Tensor forward(torch::Tensor x) {
  auto y = torch::empty_like(x);
  int64_t n = x.numel();
  int64_t blocks = std::min((n + kThreads - 1) / kThreads, kMostBlocks);
  squared_relu_kernel<<<blocks, kThreads>>>(x.data_ptr<float>(), y.data_ptr<float>(), n);
  return y;
}
