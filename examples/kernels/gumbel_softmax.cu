// Gumbel noise and softmax in one kernel: noisy logits are kept in the result, which is then turned into shares.
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

// Maximum over the block; every thread gets it.
__device__ float block_max(float v) {
  __shared__ float partial[kWarps];
  for (int offset = 16; offset > 0; offset /= 2) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, offset));
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = v;
  __syncthreads();
  float most = partial[0];
  for (int w = 1; w < kWarps; ++w) most = fmaxf(most, partial[w]);
  __syncthreads();
  return most;
}

__global__ void gumbel_kernel(const float* logits, const float* uniform, float* y, int cols) {
  int64_t offset = static_cast<int64_t>(blockIdx.x) * cols;
  float most = -INFINITY;
  for (int i = threadIdx.x; i < cols; i += kThreads) {
    float u = fminf(fmaxf(uniform[offset + i], 1e-6f), 1.0f - 1e-6f);
    float noisy = 2.0f * (logits[offset + i] - logf(-logf(u)));
    y[offset + i] = noisy;
    most = fmaxf(most, noisy);
  }
  most = block_max(most);
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) {
    y[offset + i] = expf(y[offset + i] - most);
    total += y[offset + i];
  }
  float inverse = 1.0f / block_sum(total);
  for (int i = threadIdx.x; i < cols; i += kThreads) y[offset + i] *= inverse;
}

torch::Tensor forward(torch::Tensor logits, torch::Tensor uniform) {
  auto y = torch::empty_like(logits);
  int rows = logits.size(0), cols = logits.size(1);
  gumbel_kernel<<<rows, kThreads>>>(
      logits.data_ptr<float>(), uniform.data_ptr<float>(), y.data_ptr<float>(), cols);
  return y;
}
