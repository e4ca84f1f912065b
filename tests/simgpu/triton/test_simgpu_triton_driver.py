"""The driver itself: faults with their Python lines, autotuning by modelled time, memory, and what it refuses."""

# ruff: noqa: N803, PLR0917, FBT002, FBT003 - Triton kernels: constants in capitals, arguments by position

from pathlib import Path

import pytest
import torch
import triton
import triton.language as tl

from simgpu import DiagnosticKind, LaunchOptions, UnsupportedError
from simgpu.triton import KernelFaultError, install


@triton.jit
def scale_kernel(x, factor, n, BLOCK: tl.constexpr, MASKED: tl.constexpr = True):
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = index < n if MASKED else index >= 0
    values = tl.load(x + index, mask=index < n)
    tl.store(x + index, values * factor, mask=inside)  # past the end without the mask


def test_a_store_past_the_end_is_reported_with_its_python_line(card):
    x = torch.zeros(1000)
    with pytest.raises(KernelFaultError, match="past the end of 'x' of 4000 bytes") as caught:
        scale_kernel[(4,)](x, 2.0, 1000, BLOCK=256, MASKED=False)
    (diagnostic,) = caught.value.report.diagnostics[:1]
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    assert diagnostic.kind is DiagnosticKind.OUT_OF_BOUNDS
    assert Path(diagnostic.file).name == Path(__file__).name
    assert "past the end without the mask" in lines[diagnostic.line - 1]
    assert diagnostic.block == (3, 0, 0)


def test_views_of_one_storage_overlap_on_the_card(card):
    x = torch.arange(64.0)
    scale_kernel[(1,)](x[32:], 2.0, 16, BLOCK=32)
    assert torch.equal(x, torch.cat([torch.arange(32.0), 2 * torch.arange(32.0, 48.0), torch.arange(48.0, 64.0)]))


def test_placed_tensors_stay_on_the_card(card):
    x = card.place(torch.arange(8.0))
    assert card.memory.find(x.data_ptr()).size == 32
    scale_kernel[(1,)](x, 3.0, 8, BLOCK=8, num_warps=1)
    assert torch.equal(x, 3 * torch.arange(8.0))
    assert card.launches[-1].block == (32, 1, 1)


def test_without_checks_kernels_work_in_place(triton_environment):
    with install("a100", options=LaunchOptions(checks=False)) as card:
        x = torch.ones(100)
        used = card.memory.top
        scale_kernel[(1,)](x, 5.0, 100, BLOCK=128)
        assert torch.equal(x, torch.full((100,), 5.0))
        assert card.memory.top == used


def test_staged_tensors_leave_nothing_behind(card):
    for _ in range(3):
        scale_kernel[(1,)](torch.ones(100), 5.0, 100, BLOCK=128)
    assert card.memory.used == 0


def test_an_empty_grid_runs_nothing(card):
    scale_kernel[(0,)](torch.ones(4), 5.0, 4, BLOCK=128)
    assert not card.launches


@triton.jit
def mixed_kernel(out, half: tl.float16, flag: tl.int1, pair, nothing, big, BLOCK: tl.constexpr):
    value = half.to(tl.float32) + pair[0] + pair[1].to(tl.float32) + big.to(tl.float32)
    if flag:
        value += 1000.0
    if nothing is not None:
        value = 0.0
    tl.store(out + tl.arange(0, BLOCK), value)


def test_arguments_of_every_kind_reach_the_kernel(card):
    out = torch.empty(32)
    mixed_kernel[(1,)](out, 0.5, True, (2.25, 7), None, 2**40, BLOCK=32)
    assert torch.equal(out, torch.full((32,), float(2**40 + 1009.75)))


tuned_kernel = triton.autotune(
    configs=[triton.Config({"BLOCK": block}, num_warps=warps) for block, warps in ((32, 1), (2048, 4))], key=["n"]
)(scale_kernel)


def test_autotune_compares_modelled_time(card):
    x = torch.ones(1 << 22)
    tuned_kernel[lambda meta: (triton.cdiv(1 << 22, meta["BLOCK"]),)](x, 1.0, 1 << 22)
    assert tuned_kernel.best_config.kwargs["BLOCK"] == 2048
    assert all(timings[0] > 0 for timings in tuned_kernel.configs_timings.values())


def test_do_bench_gives_modelled_milliseconds(card):
    x = torch.ones(1 << 20)
    slow = triton.testing.do_bench(lambda: scale_kernel[(1024,)](x, 1.0, 1 << 20, BLOCK=1024))
    fast = triton.testing.do_bench(lambda: scale_kernel[(64,)](x, 1.0, 1 << 16, BLOCK=1024), quantiles=[0.5, 0.2])
    assert card.launches[-1].modelled.occupancy > 0
    assert fast[0] == fast[1] < slow < 1


def test_clusters_are_refused_by_name(card):
    with pytest.raises(UnsupportedError, match="num_ctas=2"):
        scale_kernel[(2,)](torch.ones(8), 1.0, 8, BLOCK=8, num_ctas=2)


def test_triton_has_its_own_driver_again_afterwards(triton_environment):
    before = triton.runtime.driver._active
    with install("l4") as card:
        target = triton.runtime.driver.active.get_current_target()
        assert (target.backend, target.arch, card.spec.name) == ("cuda", 89, "l4")
    assert triton.runtime.driver._active is before
    assert triton.knobs.runtime.add_stages_inspection_hook is None
