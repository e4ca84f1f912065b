// Mean cross-entropy with class indices: one block per row adds its share to one number.
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

__global__ void cross_entropy_kernel(const float* logits, const int64_t* target, float* loss, int rows, int cols) {
  const float* row = logits + static_cast<int64_t>(blockIdx.x) * cols;
  float top = -INFINITY;
  for (int i = threadIdx.x; i < cols; i += kThreads) top = fmaxf(top, row[i]);
  top = block_max(top);
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) total += expf(row[i] - top);
  total = block_sum(total);
  if (threadIdx.x == 0) atomicAdd(loss, (logf(total) + top - row[target[blockIdx.x]]) / rows);
}

torch::Tensor forward(torch::Tensor logits, torch::Tensor target) {
  int rows = logits.size(0), cols = logits.size(1);
  auto loss = torch::zeros({}, logits.options());
  cross_entropy_kernel<<<rows, kThreads>>>(
      logits.data_ptr<float>(), target.data_ptr<int64_t>(), loss.data_ptr<float>(), rows, cols);
  return loss;
}
