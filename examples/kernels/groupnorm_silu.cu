// GroupNorm over 8 groups, then SiLU. The channels of a group lie one after the other: a block takes a group of a
// sample as one run of numbers.
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
constexpr int kGroups = 8;

__global__ void groupnorm_silu_kernel(
    const float* x, const float* weight, const float* bias, float* y, int share, int pixels) {
  int size = share * pixels;
  int64_t offset = static_cast<int64_t>(blockIdx.x) * size;
  int first = blockIdx.x % kGroups * share;
  float total = 0.0f;
  for (int i = threadIdx.x; i < size; i += kThreads) total += x[offset + i];
  float mean = block_sum(total) / size;
  float squares = 0.0f;
  for (int i = threadIdx.x; i < size; i += kThreads) squares += (x[offset + i] - mean) * (x[offset + i] - mean);
  float scale = rsqrtf(block_sum(squares) / size + 1e-5f);
  for (int i = threadIdx.x; i < size; i += kThreads) {
    int channel = first + i / pixels;
    float normed = (x[offset + i] - mean) * scale * weight[channel] + bias[channel];
    y[offset + i] = normed / (1.0f + expf(-normed));
  }
}

torch::Tensor forward(torch::Tensor x, torch::Tensor weight, torch::Tensor bias) {
  auto y = torch::empty_like(x);
  int samples = x.size(0), channels = x.size(1), pixels = x.size(2);
  groupnorm_silu_kernel<<<samples * kGroups, kThreads>>>(
      x.data_ptr<float>(), weight.data_ptr<float>(), bias.data_ptr<float>(), y.data_ptr<float>(), channels / kGroups,
      pixels);
  return y;
}
