"""Lanes that wait for other lanes of their own warp make progress."""

import numpy as np
import pytest

SOURCE = r"""
extern "C" __global__ void locked(int* lock, int* total, int* order) {
  while (atomicCAS(lock, 0, 1) != 0) {}
  __threadfence();
  int before = *(volatile int*)total; *(volatile int*)total = before + 1; order[before] = threadIdx.x;
  __threadfence();
  atomicExch(lock, 0);
}
extern "C" __global__ void chain(volatile int* turn, int* out) {
  int t = threadIdx.x;
  while (*turn != t) {}
  out[t] = 2 * t; __threadfence(); *turn = t + 1;
}
extern "C" __global__ void barrier_after(volatile int* flag, int* out) {
  __shared__ int seen; int t = threadIdx.x;
  if (t == 5) { while (*flag == 0) {} seen = 7; }
  else if (t == 20) { *flag = 1; }
  __syncthreads();
  out[t] = seen + t;
}
"""


def test_a_lock_taken_by_each_lane_in_turn(card, compile_cuda):
    lock, total, order = (card.put(np.zeros(size, np.int32)) for size in (1, 1, 96))
    report = card.run(compile_cuda(SOURCE), "locked", (1,), (96,), lock, total, order, checks=False)
    assert report.ok, report.diagnostics
    assert card.get(total, np.zeros(1, np.int32))[0] == 96
    assert sorted(card.get(order, np.zeros(96, np.int32)).tolist()) == list(range(96))


@pytest.mark.parametrize("checks", [True, False])
def test_lanes_go_one_after_the_other(card, compile_cuda, checks):
    turn, out = card.put(np.zeros(1, np.int32)), card.put(np.zeros(40, np.int32))
    report = card.run(compile_cuda(SOURCE), "chain", (1,), (40,), turn, out, checks=checks)
    assert report.ok, report.diagnostics
    assert card.get(out, np.zeros(40, np.int32)).tolist() == [2 * t for t in range(40)]


def test_lanes_at_a_barrier_wait_for_one_that_spins(card, compile_cuda):
    flag, out = card.put(np.zeros(1, np.int32)), card.put(np.zeros(64, np.int32))
    report = card.run(compile_cuda(SOURCE), "barrier_after", (1,), (64,), flag, out)
    assert report.ok, report.diagnostics
    assert card.get(out, np.zeros(64, np.int32)).tolist() == [7 + t for t in range(64)]
