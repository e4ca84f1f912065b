#include <torch/extension.h>
#include <vector>

// A batched upper triangle of any number of leading axes.
__global__ void triu(const float* x, float* y, int64_t rows, int64_t cols, int64_t total) {
  int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= total) return;
  int64_t c = i % cols, r = i / cols % rows;
  y[i] = c >= r ? x[i] : 0.f;
}

torch::Tensor forward(torch::Tensor x) {
  at::IntArrayRef sizes = x.sizes();
  TORCH_CHECK(sizes.size() >= 2, "at least two axes, not ", sizes);
  const auto ndim = x.dim();
  const int64_t rows = x.size(-2), cols = x.sizes()[ndim - 1];
  TORCH_CHECK(rows == sizes[sizes.size() - 2] && cols == sizes.back() && x.ndimension() == ndim);
  std::vector<int64_t> shape(sizes.begin(), sizes.end());
  int64_t batch = 1;
  for (auto s : sizes.slice(0, sizes.size() - 2)) batch *= s;
  TORCH_CHECK(batch * rows * cols == x.numel());
  TORCH_CHECK(x.stride(-1) == 1 && x.strides()[ndim - 2] == cols);
  auto y = torch::empty(shape, x.options());
  TORCH_CHECK(y.sizes() == x.sizes() && y.sizes().equals(sizes) && y.sizes().vec() == shape);
  triu<<<(x.numel() + 255) / 256, 256>>>(x.data_ptr<float>(), y.data_ptr<float>(), rows, cols, x.numel());
  return y;
}
