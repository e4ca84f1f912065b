// Running sums along rows: a block scans tiles of its row and carries the total from one tile to the next.
#include <torch/extension.h>

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;

// Inclusive sum over the lanes up to this one.
__device__ float warp_scan(float v) {
  int lane = threadIdx.x % 32;
  for (int offset = 1; offset < 32; offset *= 2) {
    float below = __shfl_up_sync(0xffffffffu, v, offset);
    if (lane >= offset) v += below;
  }
  return v;
}

__global__ void cumsum_kernel(const float* x, float* y, int cols) {
  __shared__ float totals[kWarps];
  int64_t offset = static_cast<int64_t>(blockIdx.x) * cols;
  int warp = threadIdx.x / 32;
  float carry = 0.0f;
  for (int start = 0; start < cols; start += kThreads) {
    int col = start + threadIdx.x;
    float sum = warp_scan(col < cols ? x[offset + col] : 0.0f);
    if (threadIdx.x % 32 == 31) totals[warp] = sum;
    __syncthreads();
    float before = carry;
    for (int w = 0; w < kWarps; ++w) {
      if (w < warp) before += totals[w];
      carry += totals[w];
    }
    if (col < cols) y[offset + col] = before + sum;
    __syncthreads();
  }
}

torch::Tensor forward(torch::Tensor x) {
  auto y = torch::empty_like(x);
  int rows = x.size(0), cols = x.size(1);
  cumsum_kernel<<<rows, kThreads>>>(x.data_ptr<float>(), y.data_ptr<float>(), cols);
  return y;
}
