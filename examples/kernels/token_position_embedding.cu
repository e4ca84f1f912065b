// Token embedding plus position embedding: a block per token, threads along the width.
#include <torch/extension.h>

constexpr int kThreads = 128;

__global__ void embedding_kernel(
    const int64_t* token, const float* tokens, const float* positions, float* y, int length, int width) {
  int64_t at = blockIdx.x;
  const float* row = tokens + token[at] * width;
  const float* position = positions + at % length * width;
  for (int i = threadIdx.x; i < width; i += kThreads) y[at * width + i] = row[i] + position[i];
}

torch::Tensor forward(torch::Tensor token, torch::Tensor tokens, torch::Tensor positions) {
  int samples = token.size(0), length = token.size(1), width = tokens.size(1);
  auto y = torch::empty({samples, length, width}, tokens.options());
  embedding_kernel<<<samples * length, kThreads>>>(
      token.data_ptr<int64_t>(), tokens.data_ptr<float>(), positions.data_ptr<float>(), y.data_ptr<float>(), length,
      width);
  return y;
}
