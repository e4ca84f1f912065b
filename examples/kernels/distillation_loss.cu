// KL divergence of two softmaxes per row, then the mean of the rows. Both logarithms are taken relative to their own
// maximum, so large logits cancel nothing.
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

// Maximum and log of the sum of exponentials about it.
__device__ float2 statistics(const float* row, int classes) {
  float most = -INFINITY;
  for (int i = threadIdx.x; i < classes; i += kThreads) most = fmaxf(most, row[i]);
  most = block_max(most);
  float total = 0.0f;
  for (int i = threadIdx.x; i < classes; i += kThreads) total += expf(row[i] - most);
  return make_float2(most, logf(block_sum(total)));
}

__global__ void divergence_kernel(const float* student, const float* teacher, float* losses, int classes) {
  const float* s = student + static_cast<int64_t>(blockIdx.x) * classes;
  const float* t = teacher + static_cast<int64_t>(blockIdx.x) * classes;
  float2 of_s = statistics(s, classes);
  float2 of_t = statistics(t, classes);
  float total = 0.0f;
  for (int i = threadIdx.x; i < classes; i += kThreads) {
    float log_t = t[i] - of_t.x - of_t.y;
    float log_s = s[i] - of_s.x - of_s.y;
    total += expf(log_t) * (log_t - log_s);
  }
  total = block_sum(total);
  if (threadIdx.x == 0) losses[blockIdx.x] = total;
}

__global__ void mean_kernel(const float* losses, float* y, int rows) {
  float total = 0.0f;
  for (int i = threadIdx.x; i < rows; i += kThreads) total += losses[i];
  total = block_sum(total);
  if (threadIdx.x == 0) y[0] = total / rows;
}

torch::Tensor forward(torch::Tensor student, torch::Tensor teacher) {
  int rows = student.size(0), classes = student.size(1);
  auto losses = torch::empty({rows}, student.options());
  auto y = torch::empty({}, student.options());
  divergence_kernel<<<rows, kThreads>>>(
      student.data_ptr<float>(), teacher.data_ptr<float>(), losses.data_ptr<float>(), classes);
  mean_kernel<<<1, kThreads>>>(losses.data_ptr<float>(), y.data_ptr<float>(), rows);
  return y;
}
