"""Workloads at sizes that nobody wrote down: drawn from the secret seed over the task's named axes.

A task's own workloads are a fixed list, and a list can be learnt. The sizes drawn here are those at which kernels go
wrong: primes, powers of two and their neighbours, long and thin ones, 1, and 0 where the axis allows it. None costs
more than the task's own largest workload. How tensors follow the axes is what the task says, else it is read off the
workloads: they agree on one rule, or nothing is generated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import numpy as np
from pydantic import ValidationError

from tasks.expressions import ExpressionError, holds
from tasks.inference import workload_name
from tasks.size_rules import infer_tensors
from tasks.values import Axis, Purpose, Task, Visibility, Workload
from verifier.seeds import stream


class ShapeKind(StrEnum):
    """What is peculiar about generated sizes, each with the fault that it shows."""

    EDGES = "edges"
    """Powers of two and tiles, or one beside: a tail that is empty, full or of one element."""
    PRIMES = "primes"
    """No tile, vector or unrolled loop divides them."""
    LONG = "long"
    """One axis longer than in any workload, the others short: loops that were unrolled for the known lengths."""
    EMPTY = "empty"
    """One axis is 0; only where the task says that it may be."""


_EDGES: Final = tuple(sorted({size + step for size in (8, 16, 32, 48, 64, 96, 128, 256, 512) for step in (-1, 0, 1)}))
_PRIMES: Final = (2, 3, 5, 7, 11, 13, 17, 29, 37, 53, 67, 89, 113, 149, 193, 251, 337, 509, 769, 1021, 2039)
_SHORT: Final = (1, 2, 3)
_LONGER: Final = 2
"""A long axis is up to so many times as long as in any of the task's workloads."""
_TRIES: Final = 200
"""Sizes drawn in search of some that fulfil the task's constraints."""


def generated_workloads(task: Task, seed: int) -> tuple[Workload, ...]:
    """Return hidden workloads at generated sizes; none where the tensors follow the axes by no simple rule.

    Axes that have one size in all of the task's workloads are part of the op and keep it.
    """
    return _generated(task, tuple(ShapeKind), seed)


def empty_workload(task: Task, seed: int) -> Workload | None:
    """Return a workload with an axis of 0 for a task that does not ask for any: its axes begin at 1.

    None where an axis may be 0, so that `generated_workloads` holds one, and where no size can be generated.
    """
    if any(axis.low == 0 for axis in _varied(task)):
        return None
    lowered = tuple(axis.model_copy(update={"low": 0}) if axis.low == 1 else axis for axis in task.axes)
    return next(iter(_generated(task.model_copy(update={"axes": lowered}), (ShapeKind.EMPTY,), seed)), None)


def _varied(task: Task) -> list[Axis]:
    known = task.workloads_for(Purpose.VERIFY)
    return [axis for axis in task.axes if len({workload.axes.get(axis.name) for workload in known}) > 1]


def _generated(task: Task, kinds: Sequence[ShapeKind], seed: int) -> tuple[Workload, ...]:
    varied = _varied(task)
    if not varied:
        return ()
    tensors = task.tensors or infer_tensors([(workload.axes, workload.inputs) for workload in task.workloads])
    if not tensors:
        return ()
    made = (_workload(kind, task.model_copy(update={"tensors": tensors}), varied, seed) for kind in kinds)
    return tuple(workload for workload in made if workload is not None)


def _workload(kind: ShapeKind, task: Task, varied: Sequence[Axis], seed: int) -> Workload | None:
    """Return a workload at sizes that fulfil the constraints and have legal values; None when the search finds none."""
    known = task.workloads_for(Purpose.VERIFY)
    names = {axis.name for axis in varied}
    limit = max(math.prod(size for name, size in one.axes.items() if name in names) for one in known)
    rng = stream(seed, "shapes", kind)
    for _ in range(_TRIES):
        sizes = _sizes(kind, varied, known, limit, rng)
        if sizes is None:
            return None
        axes = {**known[0].axes, **sizes}
        try:
            if not all(holds(constraint, axes) for constraint in task.constraints):
                continue
            inputs = tuple(tensor.spec(axes) for tensor in task.tensors)
        except (ExpressionError, ValidationError):
            continue
        if all(size >= 0 for spec in inputs for size in spec.shape):
            name = f"{kind}: {workload_name(axes)}"
            return Workload(name=name, axes=axes, inputs=inputs, visibility=Visibility.HIDDEN)
    return None


def _sizes(
    kind: ShapeKind, varied: Sequence[Axis], known: Sequence[Workload], limit: int, rng: np.random.Generator
) -> dict[str, int] | None:
    """Draw a size for each varied axis, in random order, so that their product stays within the limit."""
    order = [varied[int(i)] for i in rng.permutation(len(varied))]
    if kind is ShapeKind.EMPTY:
        order.sort(key=lambda axis: axis.low)
        if order[0].low > 0:
            return None
    sizes: dict[str, int] = {}
    left = limit
    for place, axis in enumerate(order):
        longest = max(workload.axes[axis.name] for workload in known)
        pool = _pool(kind, longest, first=place == 0)
        most = min(left, axis.high or left, _LONGER * longest)
        legal = [size for size in pool if (axis.low <= size or kind is ShapeKind.EMPTY) and size <= most]
        sizes[axis.name] = int(rng.choice(legal)) if legal else max(axis.low, 1)
        left //= max(sizes[axis.name], 1)
    return sizes


def _pool(kind: ShapeKind, longest: int, *, first: bool) -> Sequence[int]:
    match kind:
        case ShapeKind.EDGES:
            return _EDGES
        case ShapeKind.PRIMES:
            return _PRIMES
        case ShapeKind.LONG:
            return range(longest, _LONGER * longest + 1) if first else _SHORT
        case ShapeKind.EMPTY:
            return (0,) if first else _PRIMES
