// Mean and biased variance of each channel, one block per channel: it walks the pixels of all samples.
#include <torch/extension.h>

#include <tuple>

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

__global__ void statistics_kernel(
    const float* x, float* means, float* variances, int samples, int channels, int pixels) {
  int size = samples * pixels;
  auto at = [&](int i) {
    return x[(static_cast<int64_t>(i / pixels) * channels + blockIdx.x) * pixels + i % pixels];
  };
  float total = 0.0f;
  for (int i = threadIdx.x; i < size; i += kThreads) total += at(i);
  float mean = block_sum(total) / size;
  float squares = 0.0f;
  for (int i = threadIdx.x; i < size; i += kThreads) squares += (at(i) - mean) * (at(i) - mean);
  squares = block_sum(squares);
  if (threadIdx.x == 0) {
    means[blockIdx.x] = mean;
    variances[blockIdx.x] = squares / size;
  }
}

std::tuple<torch::Tensor, torch::Tensor> forward(torch::Tensor x) {
  int samples = x.size(0), channels = x.size(1), pixels = x.size(2);
  auto means = torch::empty({channels}, x.options());
  auto variances = torch::empty({channels}, x.options());
  statistics_kernel<<<channels, kThreads>>>(
      x.data_ptr<float>(), means.data_ptr<float>(), variances.data_ptr<float>(), samples, channels, pixels);
  return {means, variances};
}
