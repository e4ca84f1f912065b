"""Results that depend on the order of warps and blocks are told from those that do not."""

import numpy as np
import pytest

from simgpu.schedule import find_dependence

SOURCE = r"""
extern "C" __global__ void last_warp(int* data) { if (threadIdx.x % 32 == 0) atomicExch(data, threadIdx.x / 32); }
extern "C" __global__ void last_block(int* data) { if (threadIdx.x == 0) atomicExch(data, blockIdx.x); }
extern "C" __global__ void sum(int* data) { atomicAdd(data, threadIdx.x); }
"""


@pytest.mark.parametrize(("kernel", "depends"), [("last_warp", True), ("last_block", True), ("sum", False)])
def test_dependence_on_the_schedule(card, compile_cuda, kernel, depends):
    def run(seed):
        data = card.put(np.zeros(1, np.int32))
        report = card.run(compile_cuda(SOURCE), kernel, (16,), (256,), data, schedule_seed=seed, threads=1)
        assert report.ok, report.diagnostics
        return bytes(card.memory.view(data, 4))

    assert (find_dependence(run) is not None) is depends
