"""What an op must move and compute at one workload, and the least time that takes on each card.

The floor is physical: bytes that must be read and written at least once, and the operations, at rates that nothing
exceeds (`simgpu.cost.floor_us`). The roofline is what a kernel is usually compared with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from simgpu.cost import floor_us, roofline_us
from simgpu.specs import DeviceSpec, device_spec, known_devices
from tasks.errors import UserError
from tasks.expressions import evaluate
from tasks.values import Direction, DType, EagerOp, Outline, OutputShape, Purpose, Task, Value, Workload


class DeviceTime(Value):
    """The least time of one workload on one card."""

    device: str
    """Name of the card, as in `sim:h100`."""
    floor_us: float
    """Microseconds below which no kernel can be: data left in L2 and tensor cores included."""
    roofline_us: float
    """Microseconds of the bytes over DRAM bandwidth, or of the operations over the type's usual rate."""


class WorkloadCost(Value):
    """What one workload costs at least."""

    workload: str
    """Workload name."""
    purpose: Purpose
    """Verification or timing."""
    bytes_read: int
    """Bytes of the arguments, each counted once; less where the op looks only at a part of them."""
    bytes_written: int
    """Bytes of the results."""
    outputs: tuple[OutputShape, ...]
    """Types and sizes of the results."""
    flops: int
    """Floating-point operations: the task's own figure, else those of eager PyTorch's operators."""
    times: tuple[DeviceTime, ...]
    """One for each card that is known."""

    @property
    def nbytes(self) -> int:
        """Bytes that are moved at least."""
        return self.bytes_read + self.bytes_written


class Outliner(Protocol):
    """Tells what a task's reference has and launches at a workload."""

    def outline(self, workload: Workload) -> Outline:
        """List the reference's tensors and results; UserError when it fails."""

    def eager_ops(self, workload: Workload) -> tuple[EagerOp, ...]:
        """List what eager PyTorch launches; UserError when the reference fails."""


def task_costs(task: Task, outliner: Outliner, purpose: Purpose | None = None) -> tuple[WorkloadCost, ...]:
    """Return what each workload of a task costs at least; those of one purpose, if one is given.

    Raises
    ------
    UserError
        The reference fails; the sentence names the workload.
    """
    costs = []
    for workload in task.workloads if purpose is None else task.workloads_for(purpose):
        try:
            outline, ops = outliner.outline(workload), outliner.eager_ops(workload)
        except UserError as error:
            raise UserError(f"at {workload.name}: {error}") from error
        costs.append(workload_cost(task, workload, outline, ops))
    return tuple(costs)


def workload_cost(task: Task, workload: Workload, outline: Outline, ops: Sequence[EagerOp]) -> WorkloadCost:
    """Return what a workload costs at least, on every card.

    Parameters
    ----------
    task, workload
        What is to be computed, and at which sizes.
    outline
        The reference's tensors and results at these sizes.
    ops
        What eager PyTorch launches at these sizes.
    """
    read, results = _argument_bytes(task, workload, outline), _results(task, workload, outline)
    written = sum(map(_nbytes, results))
    read = min(read, sum(op.bytes_read for op in ops)) if ops else read
    flops = sum(op.flops for op in ops) if task.flops is None else evaluate(task.flops, workload.axes)
    dtype = arithmetic_type(workload)
    cards = [device_spec(name) for name in known_devices()]
    return WorkloadCost(
        workload=workload.name,
        purpose=workload.purpose,
        bytes_read=read,
        bytes_written=written,
        outputs=results,
        flops=flops,
        times=tuple(_time(card, read + written, flops, dtype) for card in cards),
    )


def arithmetic_type(workload: Workload) -> DType:
    """Return the type of the first floating tensor, else of the first tensor."""
    kinds = [spec.dtype for spec in workload.inputs]
    return next((kind for kind in kinds if kind.is_floating), kinds[0] if kinds else DType.FLOAT32)


def _time(card: DeviceSpec, moved: int, flops: int, dtype: DType) -> DeviceTime:
    return DeviceTime(
        device=card.name,
        floor_us=floor_us(card, moved, flops, dtype),
        roofline_us=roofline_us(card, moved, flops, dtype),
    )


def _argument_bytes(task: Task, workload: Workload, outline: Outline) -> int:
    """Bytes of what a candidate receives."""
    if task.direction is Direction.FORWARD:
        return sum(spec.nbytes for spec in workload.inputs)
    results = [_nbytes(result) for result in outline.outputs]
    known = {spec.name: spec.nbytes for spec in workload.inputs}
    known |= {"output": results[0]} | {f"output.{number}": size for number, size in enumerate(results)}
    gradients = sum(_nbytes(result) for result in outline.outputs if result.dtype.is_floating)
    return gradients + sum(known.get(name, 0) for name in task.saved)


def _results(task: Task, workload: Workload, outline: Outline) -> tuple[OutputShape, ...]:
    """Return what a candidate returns: the op's results, or the gradients asked for."""
    if task.direction is Direction.FORWARD:
        return outline.outputs
    by_name = {spec.name: spec for spec in workload.inputs}
    asked = (by_name[name] for name in task.gradients if name in by_name)
    return tuple(OutputShape(dtype=spec.dtype, shape=spec.shape) for spec in asked)


def _nbytes(result: OutputShape) -> int:
    return math.prod(result.shape) * result.dtype.itemsize
