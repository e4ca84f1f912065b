// Sums integers: shared memory within a block, one atomic per block, a counter in a device variable.
#include <cuda_runtime.h>

#include <cstdio>
#include <vector>

__device__ unsigned blocks_done;
__constant__ int weights[4];

__global__ void sum(const int* values, int n, unsigned long long* total) {
  __shared__ unsigned long long partial[256];
  unsigned long long mine = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    mine += values[i] * weights[i & 3];
  partial[threadIdx.x] = mine;
  __syncthreads();
  for (int width = blockDim.x / 2; width > 0; width /= 2) {
    if (threadIdx.x < width) partial[threadIdx.x] += partial[threadIdx.x + width];
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    atomicAdd(total, partial[0]);
    atomicInc(&blocks_done, 1000);
  }
}

int main() {
  constexpr int n = 100'003, blocks = 24;
  std::vector<int> values(n);
  const int host_weights[4] = {1, 2, 3, 4};
  unsigned long long expected = 0, got = 0;
  for (int i = 0; i < n; ++i) {
    values[i] = i % 1013;
    expected += static_cast<unsigned long long>(values[i]) * host_weights[i & 3];
  }
  int* dvalues;
  unsigned long long* dtotal;
  cudaMalloc(&dvalues, n * sizeof(int));
  cudaMalloc(&dtotal, sizeof *dtotal);
  cudaMemset(dtotal, 0, sizeof *dtotal);
  cudaMemcpyToSymbol(weights, host_weights, sizeof host_weights);
  cudaMemcpy(dvalues, values.data(), n * sizeof(int), cudaMemcpyHostToDevice);
  sum<<<blocks, 256>>>(dvalues, n, dtotal);
  cudaMemcpy(&got, dtotal, sizeof got, cudaMemcpyDeviceToHost);
  unsigned done = 0;
  cudaMemcpyFromSymbol(&done, blocks_done, sizeof done);
  const cudaError_t status = cudaDeviceSynchronize();
  std::printf("%llu of %llu, %u blocks, %s\n", got, expected, done, cudaGetErrorName(status));
  return status == cudaSuccess && got == expected && done == blocks ? 0 : 1;
}
