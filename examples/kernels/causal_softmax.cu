// Causal softmax of scores: row i reads only its first i + 1 scores and writes zeros behind them.
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
constexpr float kScale = 0.125f;

__global__ void causal_softmax_kernel(const float* scores, float* y, int length) {
  int64_t offset = static_cast<int64_t>(blockIdx.x) * length;
  int seen = blockIdx.x % length + 1;
  float most = -INFINITY;
  for (int i = threadIdx.x; i < seen; i += kThreads) most = fmaxf(most, scores[offset + i] * kScale);
  most = block_max(most);
  float total = 0.0f;
  for (int i = threadIdx.x; i < seen; i += kThreads) total += expf(scores[offset + i] * kScale - most);
  float inverse = 1.0f / block_sum(total);
  for (int i = threadIdx.x; i < length; i += kThreads) {
    y[offset + i] = i < seen ? expf(scores[offset + i] * kScale - most) * inverse : 0.0f;
  }
}

torch::Tensor forward(torch::Tensor scores) {
  auto y = torch::empty_like(scores);
  int heads = scores.size(0), length = scores.size(1);
  causal_softmax_kernel<<<heads * length, kThreads>>>(scores.data_ptr<float>(), y.data_ptr<float>(), length);
  return y;
}
