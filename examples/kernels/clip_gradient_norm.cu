// Gradient clipped to norm 1: partial sums of squares, then every block adds up the few partial sums for itself and
// scales its share. No third launch and no atomics.
#include <torch/extension.h>

#include <algorithm>

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
constexpr int64_t kMostBlocks = 256;

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

__global__ void squares_kernel(const float* g, float* partial, int64_t n) {
  int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads;
  float total = 0.0f;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < n; i += stride) total += g[i] * g[i];
  total = block_sum(total);
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

__global__ void scale_kernel(const float* g, const float* partial, float* y, int64_t n) {
  float total = 0.0f;
  for (int b = threadIdx.x; b < gridDim.x; b += kThreads) total += partial[b];
  float factor = fminf(1.0f / (sqrtf(block_sum(total)) + 1e-6f), 1.0f);
  int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < n; i += stride) y[i] = g[i] * factor;
}

torch::Tensor forward(torch::Tensor g) {
  auto y = torch::empty_like(g);
  int64_t n = g.numel();
  int64_t blocks = std::min((n + kThreads - 1) / kThreads, kMostBlocks);
  auto partial = torch::empty({blocks}, g.options());
  squares_kernel<<<blocks, kThreads>>>(g.data_ptr<float>(), partial.data_ptr<float>(), n);
  scale_kernel<<<blocks, kThreads>>>(g.data_ptr<float>(), partial.data_ptr<float>(), y.data_ptr<float>(), n);
  return y;
}
