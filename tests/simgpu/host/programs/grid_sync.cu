// One cooperative launch that scans an array: sums of blocks, a barrier of the whole grid, then offsets.
#include <cooperative_groups.h>

#include "check.h"

namespace cg = cooperative_groups;
constexpr int kBlock = 128;

__global__ void scan(const int* in, int* out, int* sums, int n) {
  const cg::grid_group grid = cg::this_grid();
  const cg::thread_block block = cg::this_thread_block();
  const auto warp = cg::tiled_partition<32>(block);
  __shared__ int warp_sums[kBlock / 32];
  const int i = static_cast<int>(grid.thread_rank());
  int value = i < n ? in[i] : 0;
  for (int step = 1; step < 32; step *= 2) {
    const int other = warp.shfl_up(value, step);
    if (warp.thread_rank() >= step) value += other;
  }
  if (warp.thread_rank() == 31) warp_sums[block.thread_rank() / 32] = value;
  block.sync();
  for (int earlier = 0; earlier < static_cast<int>(block.thread_rank()) / 32; ++earlier) value += warp_sums[earlier];
  if (block.thread_rank() == kBlock - 1) sums[blockIdx.x] = value;
  grid.sync();
  for (unsigned earlier = 0; earlier < blockIdx.x; ++earlier) value += sums[earlier];
  if (i < n) out[i] = value;
}

int main() {
  constexpr int blocks = 9;
  int n = blocks * kBlock - 37, fits = 0;
  std::vector<int> values(n), wanted(n);
  for (int i = 0, sum = 0; i < n; ++i) wanted[i] = sum += values[i] = (i * 7919) % 23 - 11;
  const OnCard<int> input(values), output(static_cast<size_t>(n)), sums(static_cast<size_t>(blocks));
  int* pointers[] = {input.data, output.data, sums.data};
  void* arguments[] = {&pointers[0], &pointers[1], &pointers[2], &n};
  CUDA_OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&fits, scan, kBlock, 0));
  cudaDeviceProp card;
  CUDA_OK(cudaGetDeviceProperties(&card, 0));
  if (!card.cooperativeLaunch || fits < 1) return 3;
  const dim3 too_many(fits * card.multiProcessorCount + 1);
  if (cudaLaunchCooperativeKernel(scan, too_many, dim3(kBlock), arguments) != cudaErrorCooperativeLaunchTooLarge) return 4;
  if (cudaGetLastError() != cudaErrorCooperativeLaunchTooLarge || cudaGetLastError() != cudaSuccess) return 5;
  CUDA_OK(cudaLaunchCooperativeKernel(scan, dim3(blocks), dim3(kBlock), arguments));
  expect("scan", output.read(), wanted);
}
