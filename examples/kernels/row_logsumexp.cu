// Log-sum-exp of each row in one read: maximum and scaled sum are kept together and merged.
#include <torch/extension.h>

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;

struct Online {
  float most = -INFINITY;
  float sum = 0.0f;  // of exp(x - most)
};

__device__ Online merged(Online a, Online b) {
  float most = fmaxf(a.most, b.most);
  if (most == -INFINITY) return a;
  return {most, a.sum * expf(a.most - most) + b.sum * expf(b.most - most)};
}

__device__ Online warp_merged(Online v) {
  for (int offset = 16; offset > 0; offset /= 2) {
    Online other = {__shfl_xor_sync(0xffffffffu, v.most, offset), __shfl_xor_sync(0xffffffffu, v.sum, offset)};
    v = merged(v, other);
  }
  return v;
}

__global__ void logsumexp_kernel(const float* x, float* y, int cols) {
  __shared__ float mosts[kWarps], sums[kWarps];
  const float* row = x + static_cast<int64_t>(blockIdx.x) * cols;
  Online own;
  for (int i = threadIdx.x; i < cols; i += kThreads) own = merged(own, {row[i], 1.0f});
  own = warp_merged(own);
  if (threadIdx.x % 32 == 0) {
    mosts[threadIdx.x / 32] = own.most;
    sums[threadIdx.x / 32] = own.sum;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    Online all;
    for (int w = 0; w < kWarps; ++w) all = merged(all, {mosts[w], sums[w]});
    y[blockIdx.x] = all.most + logf(all.sum);
  }
}

torch::Tensor forward(torch::Tensor x) {
  int rows = x.size(0), cols = x.size(1);
  auto y = torch::empty({rows}, x.options());
  logsumexp_kernel<<<rows, kThreads>>>(x.data_ptr<float>(), y.data_ptr<float>(), cols);
  return y;
}
