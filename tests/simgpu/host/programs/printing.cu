// Device printf keeps its place among the program's own lines; a failed assertion ends the launch and sticks.
#include <cassert>

#include "check.h"

__global__ void speak(int number) {
  if (threadIdx.x == 0) printf("kernel %d, %s, %.2f\n", number, "block", 0.5 * blockIdx.x);
}
__global__ void insist(int limit) { assert(static_cast<int>(threadIdx.x) < limit); }

int main() {
  std::printf("before\n");
  speak<<<1, 32>>>(1);
  CUDA_OK(cudaDeviceSynchronize());
  std::printf("between\n");
  speak<<<1, 32>>>(2);
  CUDA_OK(cudaStreamSynchronize(nullptr));
  std::printf("after\n");
  insist<<<1, 32>>>(32);
  CUDA_OK(cudaDeviceSynchronize());
  insist<<<1, 32>>>(20);
  const cudaError_t failed = cudaDeviceSynchronize(), again = cudaGetLastError();
  void* memory;
  if (failed != cudaErrorAssert || again != cudaErrorAssert || cudaMalloc(&memory, 4) != cudaErrorAssert) return 3;
  return 0;
}
