#include <torch/extension.h>
#include <c10/util/Optional.h>
#include <optional>

__global__ void bias_scale(const float* x, const float* bias, const float* scale, float* y, int rows, int cols) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows * cols) return;
  float v = x[i];
  if (scale != nullptr) v *= scale[i % cols];
  if (bias != nullptr) v += bias[i % cols];
  y[i] = v;
}

torch::Tensor forward(torch::Tensor x, std::optional<torch::Tensor> bias = std::nullopt,
                      const std::optional<at::Tensor>& scale = {}, std::optional<double> unused = std::nullopt) {
  auto y = torch::empty_like(x);
  const float* b = nullptr;
  if (bias.has_value() && bias->defined()) {
    TORCH_CHECK(bias->size(0) == x.size(-1), "bias has ", bias->size(0), " elements");
    b = bias.value().data_ptr<float>();
  }
  const float* s = scale ? scale->data_ptr<float>() : nullptr;
  const int rows = x.size(0), cols = x.size(1);
  bias_scale<<<(rows * cols + 63) / 64, 64>>>(x.data_ptr<float>(), b, s, y.data_ptr<float>(), rows, cols);
  return y;
}
