// Softmax over rows in which masked scores count as -10000.
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

__global__ void masked_softmax_kernel(const float* x, const bool* mask, float* y, int cols) {
  int64_t offset = static_cast<int64_t>(blockIdx.x) * cols;
  float most = -INFINITY;
  for (int i = threadIdx.x; i < cols; i += kThreads) most = fmaxf(most, mask[offset + i] ? x[offset + i] : -1e4f);
  most = block_max(most);
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) {
    float share = expf((mask[offset + i] ? x[offset + i] : -1e4f) - most);
    y[offset + i] = share;
    total += share;
  }
  float inverse = 1.0f / block_sum(total);
  for (int i = threadIdx.x; i < cols; i += kThreads) y[offset + i] *= inverse;
}

torch::Tensor forward(torch::Tensor x, torch::Tensor mask) {
  auto y = torch::empty_like(x);
  int rows = x.size(0), cols = x.size(1);
  masked_softmax_kernel<<<rows, kThreads>>>(x.data_ptr<float>(), mask.data_ptr<bool>(), y.data_ptr<float>(), cols);
  return y;
}
