// Layer normalisation of float16 rows, one block per row; mean and variance are kept in float32.
#include <torch/extension.h>
#include <cuda_fp16.h>

constexpr int kThreads = 128;

__device__ float block_sum(float v) {
  __shared__ float partial[kThreads];
  partial[threadIdx.x] = v;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
    __syncthreads();
  }
  float whole = partial[0];
  __syncthreads();
  return whole;
}

__global__ void layernorm_kernel(const __half* x, const __half* weight, const __half* bias, __half* y, int cols) {
  const __half* row = x + static_cast<int64_t>(blockIdx.x) * cols;
  __half* out = y + static_cast<int64_t>(blockIdx.x) * cols;
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) total += __half2float(row[i]);
  float mean = block_sum(total) / cols;
  float squares = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) {
    float off = __half2float(row[i]) - mean;
    squares += off * off;
  }
  float scale = rsqrtf(block_sum(squares) / cols + 1e-5f);
  for (int i = threadIdx.x; i < cols; i += kThreads)
    out[i] = __float2half((__half2float(row[i]) - mean) * scale * __half2float(weight[i]) + __half2float(bias[i]));
}

torch::Tensor forward(torch::Tensor x, torch::Tensor weight, torch::Tensor bias) {
  auto y = torch::empty_like(x);
  int cols = x.size(-1);
  int rows = x.numel() / cols;
  layernorm_kernel<<<rows, kThreads>>>(
      reinterpret_cast<const __half*>(x.data_ptr()), reinterpret_cast<const __half*>(weight.data_ptr()),
      reinterpret_cast<const __half*>(bias.data_ptr()), reinterpret_cast<__half*>(y.data_ptr()), cols);
  return y;
}
