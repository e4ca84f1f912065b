"""Programs of one Triton launch that hand over to each other: honest locks and semaphores raise nothing, a race does."""

# ruff: noqa: N803 - Triton kernels: constants in capitals

import pytest
import torch
import triton
import triton.language as tl

from simgpu import DeviceMemory, DiagnosticKind, LaunchOptions
from simgpu.triton import install
from simgpu.triton.card import KernelFaultError


@triton.jit
def sum_by_a_lock(x, out, lock, count, BLOCK: tl.constexpr):
    columns = tl.arange(0, BLOCK)
    values = tl.load(x + tl.program_id(0) * BLOCK + columns)
    while tl.atomic_cas(lock, 0, 1) == 1:
        pass
    if tl.load(count) == 0:
        tl.atomic_xchg(count, 1)
    else:
        values += tl.load(out + columns)
    tl.store(out + columns, values)
    tl.debug_barrier()
    tl.atomic_xchg(lock, 0)


@triton.jit
def sum_by_turns(x, out, turn, _count, BLOCK: tl.constexpr):
    number, columns = tl.program_id(0), tl.arange(0, BLOCK)
    values = tl.load(x + number * BLOCK + columns)
    while tl.atomic_cas(turn, number, number) != number:
        pass
    if number > 0:
        values += tl.load(out + columns)
    tl.store(out + columns, values)
    tl.debug_barrier()
    tl.atomic_add(turn, 1)


@triton.jit
def sum_unordered(x, out, _lock, _count, BLOCK: tl.constexpr):
    columns = tl.arange(0, BLOCK)
    values = tl.load(x + tl.program_id(0) * BLOCK + columns) + tl.load(out + columns)
    tl.store(out + columns, values)


@pytest.fixture(autouse=True)
def environment(triton_environment):
    return triton_environment


def run(kernel, seed):
    x, out = torch.rand(16, 256), torch.zeros(256)
    lock, count = (torch.zeros(1, dtype=torch.int32) for _ in range(2))
    options = LaunchOptions(schedule_seed=seed, instruction_budget=50_000_000)
    with install("h100", memory=DeviceMemory(1 << 26), options=options):
        kernel[(16,)](x, out, lock, count, BLOCK=256)
    return out, x.sum(0)


@pytest.mark.parametrize("kernel", [sum_by_a_lock, sum_by_turns], ids=["lock", "turns"])
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_an_honest_hand_over_raises_nothing(kernel, seed):
    got, expected = run(kernel, seed)
    torch.testing.assert_close(got, expected)


def test_a_sum_without_order_is_a_race():
    with pytest.raises(KernelFaultError) as caught:
        run(sum_unordered, None)
    found = caught.value.report.diagnostics[0]
    assert found.kind is DiagnosticKind.DATA_RACE_GLOBAL
    assert found.file.endswith("test_simgpu_triton_locks.py")
