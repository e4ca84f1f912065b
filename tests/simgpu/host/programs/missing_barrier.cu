// The second warp reads what the first one wrote without waiting for it. A card that happens to run the first one first
// gives the right result.
#include <cstdio>

__global__ void shift(const int* x, int* y) {
  __shared__ int kept[32];
  if (threadIdx.x < 32) kept[threadIdx.x] = x[threadIdx.x];
  if (threadIdx.x >= 32) y[threadIdx.x - 32] = kept[threadIdx.x - 32] + 1;
}

int main() {
  int *x, *y;
  cudaMallocManaged(&x, 32 * sizeof(int));
  cudaMallocManaged(&y, 32 * sizeof(int));
  for (int i = 0; i < 32; i++) x[i] = i;
  shift<<<1, 64>>>(x, y);
  if (cudaDeviceSynchronize() != cudaSuccess) return 2;
  for (int i = 0; i < 32; i++)
    if (y[i] != i + 1) return 1;
  return 0;
}
