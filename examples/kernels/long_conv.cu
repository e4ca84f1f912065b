// Causal long convolution by direct sums over tiles of 128 inputs and the 255 kernel elements that meet them. A Fourier
// transform needs fewer operations; up to a few thousand steps this one needs less memory traffic.
#include <torch/extension.h>

constexpr int kThreads = 128;

__global__ void long_conv_kernel(
    const float* u, const float* kernel, float* y, int channels, int length) {
  __shared__ float inputs[kThreads];
  __shared__ float taps[2 * kThreads];  // taps[i] = kernel[first - start + i - (kThreads - 1)]
  int first = blockIdx.x * kThreads;
  int64_t offset = static_cast<int64_t>(blockIdx.y) * length;
  const float* weights = kernel + static_cast<int64_t>(blockIdx.y % channels) * length;
  float total = 0.0f;
  for (int start = 0; start <= first; start += kThreads) {
    int from = start + threadIdx.x;
    inputs[threadIdx.x] = from < length ? u[offset + from] : 0.0f;
    for (int i = threadIdx.x; i < 2 * kThreads; i += kThreads) {
      int lag = first - start + i - (kThreads - 1);
      taps[i] = lag >= 0 && lag < length ? weights[lag] : 0.0f;
    }
    __syncthreads();
    for (int i = 0; i < kThreads; ++i) total += taps[threadIdx.x - i + kThreads - 1] * inputs[i];
    __syncthreads();
  }
  int step = first + threadIdx.x;
  if (step < length) y[offset + step] = total;
}

torch::Tensor forward(torch::Tensor u, torch::Tensor kernel) {
  auto y = torch::empty_like(u);
  int samples = u.size(0), channels = u.size(1), length = u.size(2);
  dim3 grid((length + kThreads - 1) / kThreads, samples * channels);
  long_conv_kernel<<<grid, kThreads>>>(
      u.data_ptr<float>(), kernel.data_ptr<float>(), y.data_ptr<float>(), channels, length);
  return y;
}
