// Histogram of bytes: private counts in shared memory by atomics, merged in global memory.
#include "check.h"

__global__ void histogram(const unsigned char* data, int n, unsigned* counts) {
  __shared__ unsigned own[256];
  for (int bin = threadIdx.x; bin < 256; bin += blockDim.x) own[bin] = 0;
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) atomicAdd(&own[data[i]], 1u);
  __syncthreads();
  for (int bin = threadIdx.x; bin < 256; bin += blockDim.x) atomicAdd(&counts[bin], own[bin]);
}

int main() {
  constexpr int n = 50001;
  std::vector<unsigned char> data(n);
  std::vector<unsigned> wanted(256);
  for (int i = 0; i < n; ++i) ++wanted[data[i] = static_cast<unsigned char>((i * 2654435761u) >> 13)];
  const OnCard<unsigned char> input(data);
  const OnCard<unsigned> counts(256);
  CUDA_OK(cudaMemset(counts, 0, 256 * sizeof(unsigned)));
  histogram<<<12, 192>>>(input, n, counts);
  CUDA_OK(cudaGetLastError());
  expect("histogram", counts.read(), wanted);
}
