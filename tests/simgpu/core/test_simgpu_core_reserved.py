"""Cooperative groups of several warps, which meet in shared memory that the system keeps."""

import numpy as np

SOURCE = r"""
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
namespace cg = cooperative_groups;
extern "C" __global__ void halves(const int* x, int* sums, int* ranks) {
  __shared__ cg::block_tile_memory<128> memory;
  __shared__ int own[128];
  auto block = cg::this_thread_block(memory);
  auto tile = cg::tiled_partition<64>(block);
  own[threadIdx.x] = x[blockIdx.x * 128 + threadIdx.x];
  tile.sync();
  int other = own[threadIdx.x ^ 32];  // of the tile's other warp
  int sum = cg::reduce(tile, other, cg::plus<int>());
  sums[blockIdx.x * 128 + threadIdx.x] = sum;
  ranks[blockIdx.x * 128 + threadIdx.x] = tile.thread_rank() + 100 * tile.meta_group_rank();
}"""


def test_tiles_of_two_warps_sync_and_reduce(card, compile_cuda):
    x = np.random.default_rng(3).integers(-1000, 1000, 512).astype(np.int32)
    out = np.zeros(512, np.int32)
    sums, ranks = card.put(out), card.put(out)
    module = compile_cuda(SOURCE, "-std=c++17")
    for seed in (None, 1):
        report = card.run(module, "halves", (4,), (128,), card.put(x), sums, ranks, schedule_seed=seed)
        assert report.ok, report.diagnostics
    np.testing.assert_array_equal(card.get(sums, out), np.repeat(x.reshape(-1, 64).sum(1), 64))
    thread = np.arange(512) % 128
    np.testing.assert_array_equal(card.get(ranks, out), thread % 64 + 100 * (thread // 64))
