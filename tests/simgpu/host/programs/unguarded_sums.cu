// The last step of a block's sum reads a sum for every lane of a warp, also for warps that the block does not have. What
// they hold goes nowhere, so a card gives the right result all the same.
#include <cstdio>

__global__ void sum(const int* x, int* y) {
  __shared__ int sums[32];
  int v = x[threadIdx.x];
  for (int offset = 16; offset > 0; offset /= 2) v += __shfl_xor_sync(0xffffffffu, v, offset);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = v;
  __syncthreads();
  if (threadIdx.x < 32) {
    int own = sums[threadIdx.x];
    own += __shfl_xor_sync(0xffffffffu, own, 1);
    if (threadIdx.x == 0) *y = own;
  }
}

int main() {
  int *x, *y;
  cudaMallocManaged(&x, 64 * sizeof(int));
  cudaMallocManaged(&y, sizeof(int));
  for (int i = 0; i < 64; i++) x[i] = i;
  sum<<<1, 64>>>(x, y);
  if (cudaDeviceSynchronize() != cudaSuccess) return 2;
  std::printf("%d\n", *y);
  return *y == 64 * 63 / 2 ? 0 : 1;
}
