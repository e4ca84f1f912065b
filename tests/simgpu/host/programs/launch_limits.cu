// Launches that a card refuses, each with its code; a refusal is told once and leaves the card usable.
#include "check.h"

__global__ void plain(int* out) { atomicAdd(out, 1); }
__global__ void __launch_bounds__(128) bounded(int* out) { atomicAdd(out, 1); }

__global__ void with_shared(int* out) {
  __shared__ int fixed[1024];
  extern __shared__ int rest[];
  fixed[threadIdx.x] = rest[threadIdx.x] = 1;
  atomicAdd(out, fixed[threadIdx.x] * rest[threadIdx.x]);
}

// A hundred sums that live at the same time: more than 64 registers, which 1024 threads cannot have.
__global__ void many_registers(const float* x, float* out, int n) {
  float sums[100] = {};
  for (int i = 0; i < n; ++i)
#pragma unroll
    for (int k = 0; k < 100; ++k) sums[k] = fmaf(sums[k], x[i + k], x[i]);
  float total = 0;
#pragma unroll
  for (int k = 0; k < 100; ++k) total += sums[k] * (k + 1);
  atomicAdd(out, total);
}

int failures = 0;

void told(const char* what, cudaError_t wanted) {
  const cudaError_t peeked = cudaPeekAtLastError(), got = cudaGetLastError(), after = cudaGetLastError();
  if (peeked == wanted && got == wanted && after == cudaSuccess) return;
  std::printf("%s: %s, %s, then %s\n", what, cudaGetErrorName(peeked), cudaGetErrorName(got), cudaGetErrorName(after));
  ++failures;
}

int main() {
  const OnCard<int> out(std::vector<int>(1, 0));
  const OnCard<float> x(std::vector<float>(1 << 10, 0.5f)), sum(std::vector<float>(1, 0.0f));
  cudaFuncAttributes attributes;

  plain<<<1, 1024>>>(out);
  told("1024 threads", cudaSuccess);
  plain<<<1, 1025>>>(out);
  told("1025 threads", cudaErrorInvalidConfiguration);
  plain<<<1, dim3(1, 1, 65)>>>(out);
  told("65 threads in z", cudaErrorInvalidConfiguration);
  plain<<<dim3(1, 65536), 1>>>(out);
  told("65536 blocks in y", cudaErrorInvalidConfiguration);
  plain<<<dim3(1, 1, 65536), 1>>>(out);
  told("65536 blocks in z", cudaErrorInvalidConfiguration);
  plain<<<0, 32>>>(out);
  told("no blocks", cudaErrorInvalidConfiguration);
  plain<<<dim3(1, 65535), 1>>>(out);
  told("65535 blocks in y", cudaSuccess);

  bounded<<<1, 128>>>(out);
  told("as many threads as the bounds allow", cudaSuccess);
  bounded<<<1, 160>>>(out);
  told("more threads than the bounds allow", cudaErrorLaunchOutOfResources);

  with_shared<<<1, 32, 44 << 10>>>(out);
  told("48 KiB of shared memory", cudaSuccess);
  with_shared<<<1, 32, (44 << 10) + 4>>>(out);
  told("more than 48 KiB that nobody asked for", cudaErrorInvalidValue);
  int most = 0;
  CUDA_OK(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
  if (cudaFuncSetAttribute(with_shared, cudaFuncAttributeMaxDynamicSharedMemorySize, most) != cudaErrorInvalidValue) return 3;
  told("static and dynamic memory beyond the card's", cudaErrorInvalidValue);
  CUDA_OK(cudaFuncSetAttribute(with_shared, cudaFuncAttributeMaxDynamicSharedMemorySize, most - 4096));
  with_shared<<<1, 32, most - 4096>>>(out);
  told("all that the card has", cudaSuccess);
  with_shared<<<1, 32, most - 4092>>>(out);
  told("more than the card has", cudaErrorInvalidValue);

  CUDA_OK(cudaFuncGetAttributes(&attributes, many_registers));
  if (attributes.numRegs <= 64) std::printf("only %d registers\n", attributes.numRegs), ++failures;
  many_registers<<<1, 256>>>(x, sum, 8);
  told("256 threads with many registers", cudaSuccess);
  many_registers<<<1, 1024>>>(x, sum, 8);
  told("1024 threads with many registers", cudaErrorLaunchOutOfResources);

  CUDA_OK(cudaDeviceSynchronize());
  if (failures) return 4;
  expect("atomic sums", out.read(), std::vector<int>(1, 1024 + 65535 + 128 + 32 + 32));
}
