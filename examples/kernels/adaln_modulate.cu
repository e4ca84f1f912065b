// Adaptive LayerNorm: one block per token; scale and shift belong to the sample that the token is part of.
#include <torch/extension.h>

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;

__device__ float warp_sum(float v) {
  for (int offset = 16; offset > 0; offset /= 2) v += __shfl_xor_sync(0xffffffffu, v, offset);
  return v;
}

// Sum over the block; every thread gets it.
__device__ float block_sum(float v) {
  __shared__ float partial[kWarps];
  v = warp_sum(v);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = v;
  __syncthreads();
  float total = 0.0f;
  for (int w = 0; w < kWarps; ++w) total += partial[w];
  __syncthreads();
  return total;
}

__global__ void adaln_kernel(
    const float* x, const float* scale, const float* shift, float* y, int tokens, int cols) {
  int64_t offset = static_cast<int64_t>(blockIdx.x) * cols;
  int64_t sample = static_cast<int64_t>(blockIdx.x / tokens) * cols;
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) total += x[offset + i];
  float mean = block_sum(total) / cols;
  float squares = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) squares += (x[offset + i] - mean) * (x[offset + i] - mean);
  float inverse = rsqrtf(block_sum(squares) / cols + 1e-6f);
  for (int i = threadIdx.x; i < cols; i += kThreads) {
    y[offset + i] = (x[offset + i] - mean) * inverse * (1.0f + scale[sample + i]) + shift[sample + i];
  }
}

torch::Tensor forward(torch::Tensor x, torch::Tensor scale, torch::Tensor shift) {
  auto y = torch::empty_like(x);
  int samples = x.size(0), tokens = x.size(1), cols = x.size(2);
  adaln_kernel<<<samples * tokens, kThreads>>>(
      x.data_ptr<float>(), scale.data_ptr<float>(), shift.data_ptr<float>(), y.data_ptr<float>(), tokens, cols);
  return y;
}
