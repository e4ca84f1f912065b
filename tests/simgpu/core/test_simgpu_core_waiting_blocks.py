"""Blocks that wait for each other make progress, as many as a card holds; those that wait for ever are reported."""

import gc

import numpy as np
import pytest

from simgpu import DiagnosticKind
from simgpu.errors import OutOfHostMemoryError
from simgpu.occupancy import occupancy
from simgpu.runtime.stacks import ScarceStacks
from simgpu.specs import device_spec

SOURCE = r"""
#define KERNEL(name) extern "C" __global__ void name(int* data, int* work)
#define T threadIdx.x
#define B blockIdx.x
#define BLOCKS gridDim.x

__device__ void grid_barrier(int* count, int round) {
  __syncthreads();
  if (T == 0) {
    __threadfence();
    atomicAdd(count, 1);
    while (*(volatile int*)count < (int)BLOCKS * round) {}
    __threadfence();
  }
  __syncthreads();
}
KERNEL(barrier_of_the_grid) {
  for (int k = 1; k < 6; k++) {
    data[B * 64 + T] += data[((B + 1) % BLOCKS) * 64 + T] * 0 + k;
    grid_barrier(work, 2 * k - 1);
    int next = ((volatile int*)data)[((B + 1) % BLOCKS) * 64 + T];
    grid_barrier(work, 2 * k);
    data[B * 64 + T] += next % 3;
  }
}
KERNEL(later_block_first) {
  if (T == 0) {
    if (B + 1 < BLOCKS) while (((volatile int*)work)[B + 1] == 0) {} // later_block_first
    __threadfence();
    data[B] = B + 1 < BLOCKS ? data[B + 1] + 1 : 1;
    __threadfence();
    ((volatile int*)work)[B] = 1;
  }
}
KERNEL(warps_wait_for_the_next_block) {
  volatile int* turn = work;
  if (T % 32 == 0) while (*turn != (int)(BLOCKS - 1 - B) * 2 + (int)T / 32) {}
  __syncwarp();
  data[B * 64 + T] = T;
  __threadfence();
  if (T % 32 == 0) *turn = *turn + 1;
}
KERNEL(polls_for_the_block_each_time) {
  __shared__ int seen;
  do {
    __syncthreads();
    if (T == 0) seen = atomicCAS(work, -1, -1);
    __syncthreads();
  } while (seen != (int)(BLOCKS - 1 - B));
  data[B * 64 + T] = T;
  __threadfence();
  __syncthreads();
  if (T == 0) atomicAdd(work, 1);
}
KERNEL(spin_lock) {
  if (T == 0) {
    for (int k = 0; k < 5; k++) {
      while (atomicCAS(work, 0, 1)) {}
      __threadfence();
      data[0] += 1;
      __threadfence();
      atomicExch(work, 0);
    }
  }
}
KERNEL(look_back) {
  __shared__ int mine;
  if (T == 0) mine = atomicAdd(work, 1);
  __syncthreads();
  if (T == 0) {
    volatile int* state = work + 1;
    int sum = mine + 1;
    if (mine) { while (state[mine - 1] == 0) {} sum += data[mine - 1]; }
    data[mine] = sum;
    __threadfence();
    state[mine] = 1;
  }
}
KERNEL(polls_by_adding_nothing) {
  if (T == 0) {
    if (B == 0) while (atomicAdd(work, 0) != (int)BLOCKS - 1) {}
    else atomicAdd(work, 1);
    data[B] = 1;
  }
}
KERNEL(nobody_sets_it) {
  if (T == 0) while (*(volatile int*)work == 0) {} // nobody_sets_it
}
KERNEL(works_while_it_counts) {
  int i;
  while ((i = atomicAdd(work, 1)) < 20000) data[i % 64] = 5;
}
"""


def run(card, compile_cuda, kernel, blocks, *, warps=2, **options):
    data = card.put(np.zeros(blocks * 64, np.int32), "data")
    work = card.put(np.zeros(max(blocks, 2) + 2, np.int32), "work")
    report = card.run(compile_cuda(SOURCE), kernel, (blocks,), (32 * warps,), data, work, **options)
    return report, card.get(data, np.zeros(blocks * 64, np.int32))


@pytest.mark.parametrize("checks", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("seed", [None, 1])
def test_blocks_hand_over_to_earlier_ones(card, compile_cuda, checks, threads, seed):
    options = {"checks": checks, "threads": threads, "schedule_seed": seed, "instruction_budget": 20_000_000}
    for kernel in ("later_block_first", "warps_wait_for_the_next_block", "polls_for_the_block_each_time"):
        report, got = run(card, compile_cuda, kernel, 40, **options)
        assert report.ok, report.diagnostics
        assert report.blocks_run == 40
        expected = list(range(40, 0, -1)) if kernel == "later_block_first" else list(range(64)) * 40
        assert got[: len(expected)].tolist() == expected


@pytest.mark.parametrize("kernel", ["barrier_of_the_grid", "spin_lock", "look_back", "polls_by_adding_nothing"])
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_barriers_and_locks_made_by_hand(card, compile_cuda, kernel, seed):
    report, got = run(card, compile_cuda, kernel, 24, schedule_seed=seed)
    assert report.ok, report.diagnostics
    if kernel == "barrier_of_the_grid":
        value = 0
        for k in range(1, 6):
            value += k
            value += value % 3
        assert set(got.tolist()) == {value}
    elif kernel == "spin_lock":
        assert got[0] == 24 * 5
    elif kernel == "look_back":
        assert got[:24].tolist() == np.cumsum(np.arange(1, 25)).tolist()
    else:
        assert got[:24].tolist() == [1] * 24


def test_as_many_blocks_are_under_way_as_the_card_holds(card, compile_cuda):
    assert run(card, compile_cuda, "later_block_first", 30, resident_blocks=30, threads=2)[0].ok
    report, _ = run(card, compile_cuda, "later_block_first", 30, resident_blocks=29, threads=2)
    found = report.diagnostics[0]
    assert found.kind is DiagnosticKind.DEADLOCK
    assert "holds 29 blocks" in found.message
    assert found.line == next(
        n for n, text in enumerate(SOURCE.splitlines(), 1) if text.endswith("// later_block_first")
    )


def test_without_a_figure_an_h100s_counts(card, compile_cuda):
    spec = device_spec("h100")
    holds = occupancy(spec, 1024, 0, 0).blocks_per_sm * spec.sms
    assert run(card, compile_cuda, "later_block_first", holds, warps=32, checks=False)[0].ok
    report, _ = run(card, compile_cuda, "later_block_first", holds + 1, warps=32, checks=False)
    assert report.diagnostics[0].kind is DiagnosticKind.DEADLOCK


def test_more_blocks_than_fit_are_no_deadlock_where_they_take_turns(card, compile_cuda):
    for kernel in ("spin_lock", "look_back"):
        assert run(card, compile_cuda, kernel, 60, resident_blocks=3)[0].ok


def test_all_wait_for_what_nobody_does(card, compile_cuda):
    report, _ = run(card, compile_cuda, "nobody_sets_it", 3)
    found = report.diagnostics[0]
    assert found.kind is DiagnosticKind.DEADLOCK
    assert "no thread does; the host and later launches come too late" in found.message
    assert found.line == next(n for n, text in enumerate(SOURCE.splitlines(), 1) if text.endswith("// nobody_sets_it"))


def test_a_loop_that_polls_and_works_is_no_deadlock(card, compile_cuda):
    report, got = run(card, compile_cuda, "works_while_it_counts", 6, resident_blocks=2)
    assert report.ok, report.diagnostics
    assert got[:64].tolist() == [5] * 64


def test_a_launch_gives_its_stacks_back_at_once(card, compile_cuda):
    stacks = ScarceStacks(1000)
    data, work = card.put(np.zeros(64 * 40, np.int32)), card.put(np.zeros(1, np.int32))
    gc.disable()  # nothing may wait for the collector of cycles
    try:
        assert card.run(compile_cuda(SOURCE), "barrier_of_the_grid", (40,), (64,), data, work, stacks=stacks).ok
        assert stacks.in_use == 0
    finally:
        gc.enable()


def test_memory_that_this_machine_lacks_is_no_deadlock(card, compile_cuda):
    data, work = card.put(np.zeros(64 * 40, np.int32)), card.put(np.zeros(1, np.int32))
    module, grid = compile_cuda(SOURCE), (40,)
    with pytest.raises(OutOfHostMemoryError, match=r"memory for 5 of 40 at once .*no memory for more than 5 rows"):
        card.run(module, "barrier_of_the_grid", grid, (64,), data, work, stacks=ScarceStacks(5), threads=2)
    assert card.run(module, "spin_lock", grid, (64,), data, card.put(np.zeros(1, np.int32)), stacks=ScarceStacks(40)).ok
