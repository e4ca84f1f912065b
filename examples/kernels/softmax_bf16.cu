// Softmax of bfloat16 rows, one block per row; maximum and sum are kept in float32.
#include <torch/extension.h>
#include <cuda_bf16.h>

constexpr int kThreads = 128;

template <typename Combine>
__device__ float over_block(float v, Combine combine) {
  __shared__ float partial[kThreads];
  partial[threadIdx.x] = v;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) partial[threadIdx.x] = combine(partial[threadIdx.x], partial[threadIdx.x + half]);
    __syncthreads();
  }
  float whole = partial[0];
  __syncthreads();
  return whole;
}

__global__ void softmax_kernel(const __nv_bfloat16* x, __nv_bfloat16* y, int cols) {
  const __nv_bfloat16* row = x + static_cast<int64_t>(blockIdx.x) * cols;
  __nv_bfloat16* out = y + static_cast<int64_t>(blockIdx.x) * cols;
  float top = -INFINITY;
  for (int i = threadIdx.x; i < cols; i += kThreads) top = fmaxf(top, __bfloat162float(row[i]));
  top = over_block(top, [](float a, float b) { return fmaxf(a, b); });
  float total = 0.0f;
  for (int i = threadIdx.x; i < cols; i += kThreads) total += expf(__bfloat162float(row[i]) - top);
  total = over_block(total, [](float a, float b) { return a + b; });
  for (int i = threadIdx.x; i < cols; i += kThreads)
    out[i] = __float2bfloat16(expf(__bfloat162float(row[i]) - top) / total);
}

torch::Tensor forward(torch::Tensor x) {
  auto y = torch::empty_like(x);
  int cols = x.size(-1);
  int rows = x.numel() / cols;
  softmax_kernel<<<rows, kThreads>>>(reinterpret_cast<const __nv_bfloat16*>(x.data_ptr()),
                                     reinterpret_cast<__nv_bfloat16*>(y.data_ptr()), cols);
  return y;
}
