// An inclusive prefix sum in three launches: warp shuffles in a block, the blocks' totals, and their addition.
#include <cuda_runtime.h>

#include <cstdio>
#include <vector>

constexpr int kThreads = 128;

__device__ int warp_scan(int value) {
  for (int step = 1; step < 32; step *= 2) {
    const int other = __shfl_up_sync(0xffffffffu, value, step);
    if ((threadIdx.x & 31) >= step) value += other;
  }
  return value;
}

__global__ void scan_blocks(const int* in, int* out, int* totals, int n) {
  __shared__ int warp_totals[kThreads / 32];
  const int i = blockIdx.x * kThreads + threadIdx.x, warp = threadIdx.x / 32;
  int value = warp_scan(i < n ? in[i] : 0);
  if ((threadIdx.x & 31) == 31) warp_totals[warp] = value;
  __syncthreads();
  for (int before = 0; before < warp; ++before) value += warp_totals[before];
  if (i < n) out[i] = value;
  if (threadIdx.x == kThreads - 1 && totals != nullptr) totals[blockIdx.x] = value;
}

__global__ void add_totals(int* out, const int* totals, int n) {
  const int i = blockIdx.x * kThreads + threadIdx.x;
  if (blockIdx.x > 0 && i < n) out[i] += totals[blockIdx.x - 1];
}

int main() {
  constexpr int n = 10'001, blocks = (n + kThreads - 1) / kThreads;
  static_assert(blocks <= kThreads, "one block scans the totals");
  std::vector<int> in(n), out(n);
  for (int i = 0; i < n; ++i) in[i] = (i * 37) % 101 - 50;
  int *din, *dout, *dtotals;
  cudaMallocManaged(&din, n * sizeof(int));
  cudaMalloc(&dout, n * sizeof(int));
  cudaMalloc(&dtotals, blocks * sizeof(int));
  for (int i = 0; i < n; ++i) din[i] = in[i];
  scan_blocks<<<blocks, kThreads>>>(din, dout, dtotals, n);
  scan_blocks<<<1, kThreads>>>(dtotals, dtotals, nullptr, blocks);
  add_totals<<<blocks, kThreads>>>(dout, dtotals, n);
  if (cudaMemcpy(out.data(), dout, n * sizeof(int), cudaMemcpyDeviceToHost) != cudaSuccess) return 2;
  int expected = 0;
  for (int i = 0; i < n; ++i) {
    expected += in[i];
    if (out[i] != expected) {
      std::printf("prefix %d is %d, not %d\n", i, out[i], expected);
      return 1;
    }
  }
  std::printf("%d prefixes\n", n);
  return 0;
}
