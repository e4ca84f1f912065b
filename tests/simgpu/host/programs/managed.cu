// A __managed__ variable that host and device both use, a pointer in a device variable, and pitched memory.
#include <cuda_runtime.h>

#include <cstdio>

__managed__ int shared_count = 5;
__device__ int* target;

__global__ void bump(const char* rows, size_t pitch) {
  if (threadIdx.x == 0) {
    shared_count += 1;
    *target = rows[2 * pitch + 1];
  }
}

int main() {
  int* value;
  cudaMallocManaged(&value, sizeof(int));
  cudaMemcpyToSymbol(target, &value, sizeof value);
  const char host[3][4] = {{1, 2, 3, 4}, {5, 6, 7, 8}, {9, 10, 11, 12}};
  char* rows;
  size_t pitch = 0;
  cudaMallocPitch(&rows, &pitch, 4, 3);
  cudaMemcpy2D(rows, pitch, host, 4, 4, 3, cudaMemcpyHostToDevice);
  shared_count += 10;
  bump<<<1, 32>>>(rows, pitch);
  const cudaError_t status = cudaDeviceSynchronize();
  std::printf("%d and %d, %s\n", shared_count, *value, cudaGetErrorString(status));
  return status == cudaSuccess && shared_count == 16 && *value == 10 ? 0 : 1;
}
