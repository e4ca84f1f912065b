// Log-probability of one token per row: two reads of the logits, four bytes written.
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

__device__ float warp_max(float v) {
  for (int offset = 16; offset > 0; offset /= 2) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, offset));
  return v;
}

// Maximum over the block; every thread gets it.
__device__ float block_max(float v) {
  __shared__ float partial[kWarps];
  v = warp_max(v);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = v;
  __syncthreads();
  float most = partial[0];
  for (int w = 1; w < kWarps; ++w) most = fmaxf(most, partial[w]);
  __syncthreads();
  return most;
}

__global__ void log_prob_kernel(const float* logits, const int64_t* token, float* y, int classes) {
  const float* row = logits + static_cast<int64_t>(blockIdx.x) * classes;
  float most = -INFINITY;
  for (int i = threadIdx.x; i < classes; i += kThreads) most = fmaxf(most, row[i]);
  most = block_max(most);
  float total = 0.0f;
  for (int i = threadIdx.x; i < classes; i += kThreads) total += expf(row[i] - most);
  total = block_sum(total);
  if (threadIdx.x == 0) y[blockIdx.x] = row[token[blockIdx.x]] - most - logf(total);
}

torch::Tensor forward(torch::Tensor logits, torch::Tensor token) {
  int rows = logits.size(0), classes = logits.size(1);
  auto y = torch::empty({rows}, logits.options());
  log_prob_kernel<<<rows, kThreads>>>(
      logits.data_ptr<float>(), token.data_ptr<int64_t>(), y.data_ptr<float>(), classes);
  return y;
}
