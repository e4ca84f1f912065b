#include <torch/extension.h>

__global__ void axpb(const float* x, float* y, float a, float b, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i] + b;
}

torch::Tensor forward(torch::Tensor x, at::Scalar a = 2, const at::Scalar& b = 0.5, at::ArrayRef<double> more = {},
                      at::OptionalIntArrayRef sizes = std::nullopt, std::optional<at::ScalarType> dtype = std::nullopt, int axis = 0, float scale = 1.f) {
  TORCH_CHECK(!sizes.has_value() && !dtype.has_value() && more.empty() && axis == 0);
  TORCH_CHECK(a.isIntegral(false) && b.isFloatingPoint());
  auto y = torch::empty_like(x);
  axpb<<<(x.numel() + 255) / 256, 256>>>(x.data_ptr<float>(), y.data_ptr<float>(), a.to<float>() * scale, b.toDouble(), x.numel());
  return y;
}
