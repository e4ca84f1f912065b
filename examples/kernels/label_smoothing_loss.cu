// Label-smoothed cross-entropy: one block per row gives its loss, one block more averages the rows.
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
constexpr float kSmoothing = 0.1f;

__global__ void loss_kernel(const float* logits, const int64_t* target, float* losses, int classes) {
  const float* row = logits + static_cast<int64_t>(blockIdx.x) * classes;
  float most = -INFINITY;
  for (int i = threadIdx.x; i < classes; i += kThreads) most = fmaxf(most, row[i]);
  most = block_max(most);
  float total = 0.0f, below = 0.0f;  // `below` sums most - x: nothing cancels where all logits are large
  for (int i = threadIdx.x; i < classes; i += kThreads) {
    total += expf(row[i] - most);
    below += most - row[i];
  }
  float log_total = logf(block_sum(total));
  float mean_below = block_sum(below) / classes;
  if (threadIdx.x == 0) {
    float wanted = most - row[target[blockIdx.x]];
    losses[blockIdx.x] = log_total + (1.0f - kSmoothing) * wanted + kSmoothing * mean_below;
  }
}

__global__ void mean_kernel(const float* losses, float* y, int rows) {
  float total = 0.0f;
  for (int i = threadIdx.x; i < rows; i += kThreads) total += losses[i];
  total = block_sum(total);
  if (threadIdx.x == 0) y[0] = total / rows;
}

torch::Tensor forward(torch::Tensor logits, torch::Tensor target) {
  int rows = logits.size(0), classes = logits.size(1);
  auto losses = torch::empty({rows}, logits.options());
  auto y = torch::empty({}, logits.options());
  loss_kernel<<<rows, kThreads>>>(
      logits.data_ptr<float>(), target.data_ptr<int64_t>(), losses.data_ptr<float>(), classes);
  mean_kernel<<<1, kThreads>>>(losses.data_ptr<float>(), y.data_ptr<float>(), rows);
  return y;
}
