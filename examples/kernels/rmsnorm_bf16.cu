// Root-mean-square normalisation of bfloat16 rows, one block per row; the sum is kept in float32.
#include <torch/extension.h>
#include <cuda_bf16.h>

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

__global__ void rmsnorm_kernel(const __nv_bfloat16* x, const __nv_bfloat16* weight, __nv_bfloat16* y, int cols) {
  const __nv_bfloat16* row = x + static_cast<int64_t>(blockIdx.x) * cols;
  __nv_bfloat16* out = y + static_cast<int64_t>(blockIdx.x) * cols;
  float squares = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) {
    float v = __bfloat162float(row[i]);
    squares += v * v;
  }
  float scale = rsqrtf(block_sum(squares) / cols + 1e-5f);
  for (int i = threadIdx.x; i < cols; i += kThreads)
    out[i] = __float2bfloat16(__bfloat162float(row[i]) * scale * __bfloat162float(weight[i]));
}

torch::Tensor forward(torch::Tensor x, torch::Tensor weight) {
  auto y = torch::empty_like(x);
  int cols = x.size(-1);
  int rows = x.numel() / cols;
  rmsnorm_kernel<<<rows, kThreads>>>(
      reinterpret_cast<const __nv_bfloat16*>(x.data_ptr()), reinterpret_cast<const __nv_bfloat16*>(weight.data_ptr()),
      reinterpret_cast<__nv_bfloat16*>(y.data_ptr()), cols);
  return y;
}
