// GEGLU: both halves of a row are read where they lie; one block column per row keeps the loads coalesced.
#include <torch/extension.h>

constexpr int kThreads = 128;

__device__ float gelu_tanh(float x) {
  float inner = 0.7978845608028654f * (x + 0.044715f * x * x * x);
  return 0.5f * x * (1.0f + tanhf(inner));
}

__global__ void geglu_kernel(const float* x, float* y, int half) {
  int col = blockIdx.x * kThreads + threadIdx.x;
  if (col >= half) return;
  const float* row = x + static_cast<int64_t>(blockIdx.y) * 2 * half;
  y[static_cast<int64_t>(blockIdx.y) * half + col] = gelu_tanh(row[col]) * row[half + col];
}

torch::Tensor forward(torch::Tensor x) {
  int rows = x.size(0), half = x.size(1) / 2;
  auto y = torch::empty({rows, half}, x.options());
  dim3 grid((half + kThreads - 1) / kThreads, rows);
  geglu_kernel<<<grid, kThreads>>>(x.data_ptr<float>(), y.data_ptr<float>(), half);
  return y;
}
