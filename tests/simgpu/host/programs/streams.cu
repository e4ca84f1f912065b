// Two streams that wait for each other by an event, timed by events; a callback; exits through exit().
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>

__global__ void scale(float* data, int n, float factor) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) data[i] *= factor;
}

void note(void* seen) { *static_cast<int*>(seen) += 1; }

int main() {
  constexpr int n = 4096;
  float *host, *device;
  cudaMallocHost(&host, n * sizeof(float));
  cudaMalloc(&device, n * sizeof(float));
  for (int i = 0; i < n; ++i) host[i] = i;
  cudaStream_t first, second;
  cudaStreamCreate(&first);
  cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking);
  cudaEvent_t start, copied, end;
  cudaEventCreate(&start);
  cudaEventCreateWithFlags(&copied, cudaEventDisableTiming);
  cudaEventCreate(&end);
  int seen = 0;
  cudaEventRecord(start, first);
  cudaMemcpyAsync(device, host, n * sizeof(float), cudaMemcpyHostToDevice, first);
  scale<<<n / 128, 128, 0, first>>>(device, n, 2.0f);
  cudaEventRecord(copied, first);
  cudaStreamWaitEvent(second, copied, 0);
  scale<<<n / 128, 128, 0, second>>>(device, n, 3.0f);
  cudaMemcpyAsync(host, device, n * sizeof(float), cudaMemcpyDeviceToHost, second);
  cudaLaunchHostFunc(second, note, &seen);
  cudaEventRecord(end, second);
  cudaEventSynchronize(end);
  float milliseconds = 0;
  if (cudaEventElapsedTime(&milliseconds, start, end) != cudaSuccess) std::exit(2);
  for (int i = 0; i < n; ++i)
    if (host[i] != 6.0f * i) std::exit(1);
  std::printf("%s after %.4f ms\n", seen == 1 ? "done" : "no callback", milliseconds);
  std::exit(seen == 1 && milliseconds > 0.005f && milliseconds < 1.0f ? 0 : 3);
}
