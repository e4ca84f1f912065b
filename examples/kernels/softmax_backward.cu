// Gradient of softmax from its output: y (g - sum(g y)), one block per row.
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

__global__ void softmax_backward_kernel(const float* grad, const float* output, float* result, int cols) {
  int64_t offset = static_cast<int64_t>(blockIdx.x) * cols;
  float product = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) product += grad[offset + i] * output[offset + i];
  product = block_sum(product);
  for (int i = threadIdx.x; i < cols; i += kThreads) {
    result[offset + i] = output[offset + i] * (grad[offset + i] - product);
  }
}

torch::Tensor backward(torch::Tensor grad, torch::Tensor output) {
  auto result = torch::empty_like(output);
  int cols = output.size(-1);
  int rows = output.numel() / cols;
  softmax_backward_kernel<<<rows, kThreads>>>(
      grad.data_ptr<float>(), output.data_ptr<float>(), result.data_ptr<float>(), cols);
  return result;
}
