// Softmax over the last dimension: one block per row, three passes.
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
  float top = partial[0];
  for (int w = 1; w < kWarps; ++w) top = fmaxf(top, partial[w]);
  __syncthreads();
  return top;
}

__global__ void softmax_kernel(const float* x, float* y, int cols) {
  const float* row = x + static_cast<int64_t>(blockIdx.x) * cols;
  float* out = y + static_cast<int64_t>(blockIdx.x) * cols;
  float top = -INFINITY;
  for (int i = threadIdx.x; i < cols; i += kThreads) top = fmaxf(top, row[i]);
  top = block_max(top);
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) total += expf(row[i] - top);
  total = block_sum(total);
  for (int i = threadIdx.x; i < cols; i += kThreads) out[i] = expf(row[i] - top) / total;
}

torch::Tensor forward(torch::Tensor x) {
  auto y = torch::empty_like(x);
  int cols = x.size(-1);
  int rows = x.numel() / cols;
  softmax_kernel<<<rows, kThreads>>>(x.data_ptr<float>(), y.data_ptr<float>(), cols);
  return y;
}
