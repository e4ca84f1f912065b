// Rotary embedding of neighbouring pairs: one thread per pair; a warp's pairs are one run of memory.
#include <torch/extension.h>

constexpr int kThreads = 128;

__global__ void rotary_kernel(
    const float* x, const float* cosine, const float* sine, float* y, int64_t pairs, int heads, int half) {
  int64_t pair = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (pair >= pairs) return;
  int64_t row = pair / half;
  int i = pair % half;
  float c = cosine[row / heads * half + i], s = sine[row / heads * half + i];
  int64_t first = row * 2 * half + 2 * i, second = first + 1;
  float a = x[first], b = x[second];
  y[first] = a * c - b * s;
  y[second] = b * c + a * s;
}

torch::Tensor forward(torch::Tensor x, torch::Tensor cosine, torch::Tensor sine) {
  auto y = torch::empty_like(x);
  int heads = x.size(1), half = x.size(2) / 2;
  int64_t pairs = x.numel() / 2;
  rotary_kernel<<<(pairs + kThreads - 1) / kThreads, kThreads>>>(
      x.data_ptr<float>(), cosine.data_ptr<float>(), sine.data_ptr<float>(), y.data_ptr<float>(), pairs, heads, half);
  return y;
}
