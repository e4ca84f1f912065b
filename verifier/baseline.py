"""What eager PyTorch would take on a simulated device: a model whose shares of the peaks `eager.toml` states.

Each operator is one kernel: the card's launch overhead plus the larger of memory time and compute time at the
share of the peaks that its kind reaches. What the operator before has just written comes from L2 while it fits.
Waiting on latency, partly filled cards and repeated reads are left out, so the baseline is rather too fast.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources

from pydantic import Field

from simgpu.specs import DeviceSpec
from tasks.values import DType, EagerOp, Value


class Efficiency(Value):
    """How close one kind of operator comes to the peaks (a table of `eager.toml`)."""

    default: bool = False
    """Whether operators that no table lists belong here."""
    bandwidth: float = Field(gt=0, le=0.89)
    """Share of the peak DRAM bandwidth."""
    compute: float = Field(gt=0, le=1)
    """Share of the peak arithmetic rate."""
    tf32: bool = False
    """Whether float32 products run as TF32 by default, so that `compute` is a share of that rate."""
    extra: bool = False
    """Whether the operator writes more than its result."""
    source: str = Field(min_length=1)
    """Why these figures."""
    ops: tuple[str, ...]
    """Operator names."""


def eager_us(spec: DeviceSpec, ops: Sequence[EagerOp], dtype: DType) -> float:
    """Return the microseconds that eager PyTorch takes for `ops`, one after the other.

    Parameters
    ----------
    spec
        The card.
    ops
        Operators in order, views left out.
    dtype
        Element type of the arithmetic; float32 products use TF32 only where `Efficiency.tf32` says so.
    """
    total, fresh = 0.0, 0
    for op in ops:
        total += _op_us(spec, op, dtype, fresh)
        fresh = op.bytes_written
    return total


def _op_us(spec: DeviceSpec, op: EagerOp, dtype: DType, fresh: int) -> float:
    """Return one operator's time; `fresh` bytes were written just before it."""
    efficiency = efficiency_of(op.name)
    cached = min(fresh, op.bytes_read) if fresh <= spec.l2_bytes else 0
    streamed = op.bytes_read - cached + op.bytes_written
    memory = streamed / (spec.dram_gbps * 1e3 * efficiency.bandwidth) + cached / (spec.l2_gbps * 1e3)
    tf32 = efficiency.tf32 and dtype is DType.FLOAT32
    peak = spec.tensor_tf32_tflops * 1e12 if tf32 else peak_flops(spec, dtype)
    compute = op.flops / (peak * efficiency.compute) * 1e6
    return spec.launch_overhead_us + max(memory, compute)


def peak_flops(spec: DeviceSpec, dtype: DType) -> float:
    """Return the operations per second that products in `dtype` may reach; 16-bit types use tensor cores."""
    per_clock = {DType.FLOAT64: spec.fp64_per_clock, DType.FLOAT32: spec.fp32_per_clock}.get(dtype)
    if per_clock is None and dtype.is_floating:
        return spec.tensor_fp16_tflops * 1e12
    return 2 * (per_clock or spec.int_per_clock) * spec.sms * spec.clock_hz


def result_bytes(ops: Sequence[EagerOp], dtype: DType) -> int:
    """Return a lower bound of the bytes of the op's results: what the last operator writes.

    Operators that also write statistics are counted as if they wrote something of their first argument's size.
    """
    if not ops:
        return 0
    last = ops[-1]
    if not efficiency_of(last.name).extra or not last.shapes:
        return last.bytes_written
    return min(last.bytes_written, math.prod(last.shapes[0]) * dtype.itemsize)


@cache
def efficiencies() -> dict[str, Efficiency]:
    """Return the tables of `eager.toml` by kind."""
    text = resources.files("verifier").joinpath("eager.toml").read_text(encoding="utf-8")
    return {kind: Efficiency.model_validate(table) for kind, table in tomllib.loads(text).items()}


@cache
def efficiency_of(name: str) -> Efficiency:
    """Return the efficiency of an operator, for instance `aten::mm`."""
    listed = next((kind for kind in efficiencies().values() if name in kind.ops), None)
    return listed or next(kind for kind in efficiencies().values() if kind.default)
