// Index of the largest element of each row; among equals the lowest index wins.
#include <torch/extension.h>

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;

struct Best {
  float value;
  int index;
};

__device__ Best better(Best a, Best b) {
  bool second = b.value > a.value || (b.value == a.value && b.index < a.index);
  return second ? b : a;
}

__global__ void argmax_kernel(const float* x, int64_t* y, int cols) {
  __shared__ float values[kWarps];
  __shared__ int indices[kWarps];
  const float* row = x + static_cast<int64_t>(blockIdx.x) * cols;
  Best best = {-INFINITY, INT_MAX};
  for (int i = threadIdx.x; i < cols; i += kThreads) best = better(best, {row[i], i});
  for (int offset = 16; offset > 0; offset /= 2) {
    Best other = {__shfl_xor_sync(0xffffffffu, best.value, offset), __shfl_xor_sync(0xffffffffu, best.index, offset)};
    best = better(best, other);
  }
  if (threadIdx.x % 32 == 0) {
    values[threadIdx.x / 32] = best.value;
    indices[threadIdx.x / 32] = best.index;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int w = 1; w < kWarps; ++w) best = better(best, {values[w], indices[w]});
    y[blockIdx.x] = best.index;
  }
}

torch::Tensor forward(torch::Tensor x) {
  int rows = x.size(0), cols = x.size(1);
  auto y = torch::empty({rows}, x.options().dtype(torch::kLong));
  argmax_kernel<<<rows, kThreads>>>(x.data_ptr<float>(), y.data_ptr<int64_t>(), cols);
  return y;
}
