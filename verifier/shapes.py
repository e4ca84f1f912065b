"""Workloads at sizes that nobody wrote down: drawn from the secret seed over the task's named axes.

A task's own workloads are a fixed list, and a list can be learnt. The sizes drawn here are those at which kernels go
wrong: primes, powers of two and their neighbours, long and thin ones, 1, and 0 where the axis allows it. None costs
more than the task's own largest workload. Which dimension of which tensor follows which axis is read off the workloads:
they agree on one rule, or nothing is generated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from tasks.inference import workload_name
from tasks.values import Axis, InputSpec, Purpose, Task, Visibility, Workload
from verifier.seeds import stream

Sizes = Mapping[str, int]


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


@dataclass(frozen=True, slots=True)
class _Rule:
    """A size as a function of the axes: the product of some, times a factor, divided, plus a step."""

    names: tuple[str, ...] = ()
    factor: int = 1
    divisor: int = 1
    step: int = 0

    def __call__(self, axes: Sizes) -> int:
        return math.prod(axes[name] for name in self.names) * self.factor // self.divisor + self.step


@dataclass(frozen=True, slots=True)
class _Rules:
    """How the tensors follow the axes."""

    specs: tuple[InputSpec, ...]
    shapes: tuple[tuple[_Rule, ...], ...]
    highs: tuple[_Rule | None, ...]

    def inputs(self, axes: Sizes) -> tuple[InputSpec, ...]:
        """Return the tensors at other sizes."""
        return tuple(
            spec.model_copy(
                update={
                    "shape": tuple(rule(axes) for rule in shape),
                    "domain": spec.domain if high is None else spec.domain.model_copy(update={"high": high(axes)}),
                }
            )
            for spec, shape, high in zip(self.specs, self.shapes, self.highs, strict=True)
        )


def generated_workloads(task: Task, seed: int) -> tuple[Workload, ...]:
    """Return hidden workloads at generated sizes; none where the tensors follow the axes by no simple rule.

    Axes that have one size in all of the task's workloads are part of the op and keep it.
    """
    known = task.workloads_for(Purpose.VERIFY)
    varied = [axis for axis in task.axes if len({workload.axes.get(axis.name) for workload in known}) > 1]
    rules = _rules(task.workloads) if varied else None
    if rules is None:
        return ()
    made = (_workload(kind, varied, known, rules, seed) for kind in ShapeKind)
    return tuple(workload for workload in made if workload is not None)


def _workload(
    kind: ShapeKind, varied: Sequence[Axis], known: Sequence[Workload], rules: _Rules, seed: int
) -> Workload | None:
    names = {axis.name for axis in varied}
    limit = max(math.prod(size for name, size in one.axes.items() if name in names) for one in known)
    rng = stream(seed, "shapes", kind)
    sizes = _sizes(kind, varied, known, limit, rng)
    if sizes is None:
        return None
    axes = {**known[0].axes, **sizes}
    name = f"{kind}: {workload_name(axes)}"
    return Workload(name=name, axes=axes, inputs=rules.inputs(axes), visibility=Visibility.HIDDEN)


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


def _rules(workloads: Sequence[Workload]) -> _Rules | None:
    """Find one rule for each dimension that holds in every workload, None where there is none."""
    first = workloads[0]
    if any(_form(workload) != _form(first) for workload in workloads):
        return None
    shapes: list[tuple[_Rule, ...]] = []
    highs: list[_Rule | None] = []
    for number, spec in enumerate(first.inputs):
        rules = [
            _rule(workloads, [workload.inputs[number].shape[dimension] for workload in workloads])
            for dimension in range(len(spec.shape))
        ]
        bounds = [workload.inputs[number].domain.high for workload in workloads]
        numbers = [bound for bound in bounds if bound is not None]
        high = _rule(workloads, numbers) if numbers else None
        found = tuple(rule for rule in rules if rule is not None)
        if len(found) < len(rules) or (numbers and high is None):
            return None
        shapes.append(found)
        highs.append(high)
    return _Rules(first.inputs, tuple(shapes), tuple(highs))


def _form(workload: Workload) -> list[tuple[str, int, str, bool]]:
    """Return what must be the same at all sizes."""
    return [(one.name, len(one.shape), one.dtype, one.domain.high is None) for one in workload.inputs]


def _rule(workloads: Sequence[Workload], values: Sequence[int]) -> _Rule | None:
    """Return the first rule that gives the values at the workloads' sizes: an axis, a multiple, a share, a product."""
    if len(set(values)) == 1:
        return _Rule(factor=values[0])
    sizes = [workload.axes for workload in workloads]
    fitting = (rule for rule in _candidates(sizes[0], values[0]) if list(map(rule, sizes)) == list(values))
    return next(fitting, None)


def _candidates(axes: Sizes, value: int) -> Iterator[_Rule]:
    """Yield the rules that fit one workload, simplest first."""
    for name, size in axes.items():
        yield _Rule((name,))
        if size and value % size == 0:
            yield _Rule((name,), factor=value // size)
        if value and size % value == 0:
            yield _Rule((name,), divisor=size // value)
        yield _Rule((name,), step=value - size)
    for name in axes:
        for other in axes:
            yield _Rule((name, other))
