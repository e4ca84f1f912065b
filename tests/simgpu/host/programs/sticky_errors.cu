// After a kernel's fault every call returns its error until the device is reset; other errors are told once.
#include "check.h"

__global__ void store(int* out, int place) { out[place] = 7; }

int step = 0;

void wants(cudaError_t got, cudaError_t wanted) {
  ++step;
  if (got == wanted) return;
  std::printf("step %d: %s, not %s\n", step, cudaGetErrorName(got), cudaGetErrorName(wanted));
  std::exit(1);
}

int main() {
  int *data = nullptr, *more = nullptr, value = 0;
  cudaStream_t stream;
  cudaEvent_t event;
  CUDA_OK(cudaMalloc(&data, 64 * sizeof(int)));
  CUDA_OK(cudaStreamCreate(&stream));
  CUDA_OK(cudaEventCreate(&event));

  wants(cudaMalloc(&more, size_t(1) << 50), cudaErrorMemoryAllocation);
  wants(cudaMemset(data, 0, 64 * sizeof(int)), cudaSuccess);  // works, and does not clear what was told
  wants(cudaPeekAtLastError(), cudaErrorMemoryAllocation);
  wants(cudaGetLastError(), cudaErrorMemoryAllocation);
  wants(cudaGetLastError(), cudaSuccess);

  store<<<1, 1>>>(data, 1 << 20);
  wants(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
  wants(cudaGetLastError(), cudaErrorIllegalAddress);
  wants(cudaGetLastError(), cudaErrorIllegalAddress);
  wants(cudaPeekAtLastError(), cudaErrorIllegalAddress);
  wants(cudaMalloc(&more, 64), cudaErrorIllegalAddress);
  wants(cudaMemcpy(&value, data, sizeof value, cudaMemcpyDeviceToHost), cudaErrorIllegalAddress);
  wants(cudaMemset(data, 0, 64), cudaErrorIllegalAddress);
  wants(cudaStreamSynchronize(stream), cudaErrorIllegalAddress);
  wants(cudaEventRecord(event, stream), cudaErrorIllegalAddress);
  wants(cudaFree(data), cudaErrorIllegalAddress);
  store<<<1, 1>>>(data, 0);
  wants(cudaGetLastError(), cudaErrorIllegalAddress);

  wants(cudaDeviceReset(), cudaSuccess);
  wants(cudaGetLastError(), cudaSuccess);
  CUDA_OK(cudaMalloc(&data, 64 * sizeof(int)));
  store<<<1, 1>>>(data, 5);
  wants(cudaMemcpy(&value, data + 5, sizeof value, cudaMemcpyDeviceToHost), cudaSuccess);
  return value == 7 ? 0 : 2;
}
