#include <torch/extension.h>

__global__ void histogram(const int64_t* labels, const float* weights, int* counts, float* sums, int64_t n, int bins) {
  extern __shared__ int local[];
  for (int b = threadIdx.x; b < bins; b += blockDim.x) local[b] = 0;
  __syncthreads();
  for (int64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    const int b = static_cast<int>(labels[i]);
    if (b >= 0 && b < bins) {
      atomicAdd(&local[b], 1);
      atomicAdd(&sums[b], weights[i]);
    }
  }
  __syncthreads();
  for (int b = threadIdx.x; b < bins; b += blockDim.x)
    if (local[b]) atomicAdd(&counts[b], local[b]);
}

std::vector<torch::Tensor> forward(torch::Tensor labels, torch::Tensor weights, int64_t bins = 10) {
  TORCH_CHECK(labels.dtype() == torch::kLong, "labels must be int64");
  auto counts = torch::zeros({bins}, torch::dtype(torch::kInt).device(labels.device()));
  auto sums = torch::zeros(bins, weights.options());
  histogram<<<4, 64, bins * sizeof(int)>>>(labels.data_ptr<int64_t>(), weights.data_ptr<float>(), counts.data_ptr<int>(), sums.data_ptr<float>(), labels.numel(), bins);
  return {counts, sums};
}
