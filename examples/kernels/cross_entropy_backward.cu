// Gradient of the mean cross-entropy by the logits: softmax, minus one at the target, over the number of rows.
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

__global__ void cross_entropy_backward_kernel(
    const float* grad, const float* logits, const int64_t* target, float* result, int classes) {
  int64_t offset = static_cast<int64_t>(blockIdx.x) * classes;
  float most = -INFINITY;
  for (int i = threadIdx.x; i < classes; i += kThreads) most = fmaxf(most, logits[offset + i]);
  most = block_max(most);
  float total = 0.0f;
  for (int i = threadIdx.x; i < classes; i += kThreads) total += expf(logits[offset + i] - most);
  float inverse = 1.0f / block_sum(total);
  float factor = grad[0] / gridDim.x;
  int wanted = target[blockIdx.x];
  for (int i = threadIdx.x; i < classes; i += kThreads) {
    float share = expf(logits[offset + i] - most) * inverse;
    result[offset + i] = factor * (share - (i == wanted ? 1.0f : 0.0f));
  }
}

torch::Tensor backward(torch::Tensor grad, torch::Tensor logits, torch::Tensor target) {
  auto result = torch::empty_like(logits);
  int rows = logits.size(0), classes = logits.size(1);
  cross_entropy_backward_kernel<<<rows, kThreads>>>(
      grad.data_ptr<float>(), logits.data_ptr<float>(), target.data_ptr<int64_t>(), result.data_ptr<float>(), classes);
  return result;
}
