// Writes one element past its allocation, and returns what the runtime says about it.
#include <cuda_runtime.h>

__global__ void fill(int* data, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i <= n) data[i] = i;
}

int main() {
  int* data;
  cudaMalloc(&data, 1000 * sizeof(int));
  fill<<<4, 256>>>(data, 1000);
  return cudaDeviceSynchronize() == cudaErrorIllegalAddress ? 42 : 0;
}
