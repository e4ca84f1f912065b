"""One draw: a workload's values, what a candidate receives of them, and what it must return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sandbox.layouts import Layout
from sandbox.values import ReferenceResult, Tensor
from tasks.errors import UserError
from tasks.values import Direction, Domain, DomainKind, DType, InputSpec, OutputProperty, Precision, Task, Workload
from verifier.cancellation import Scattering, with_terms
from verifier.inputs import Distribution, draw_tensor
from verifier.laboratory import ReferenceRunner
from verifier.properties import Lawful
from verifier.seeds import stream
from verifier.tensors import from_array, neighbours, to_array, to_float64
from verifier.tolerance import Expectation, Spread, Unsuitable, calibrate

_PERTURBED = (DType.FLOAT32, DType.FLOAT64)
"""16-bit inputs are exact to an honest candidate, which computes in float32: moving them would excuse too much."""

_EXACT = frozenset({DomainKind.MASK, DomainKind.CAUSAL})
"""Domains whose few numbers have no neighbours among them."""

_DOWNWARDS = frozenset(
    {
        DomainKind.PROBABILITY,
        DomainKind.SORTED,
        DomainKind.SYMMETRIC,
        DomainKind.POSITIVE_DEFINITE,
    }
)
"""Domains in which all elements move towards zero: numbers stay below 1, in order, and equal where they were equal."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Values at which the candidate is called, with everything needed to judge its answer."""

    workload: Workload
    distribution: Distribution
    arguments: tuple[Tensor, ...]
    """What the candidate receives, in order."""
    expectations: tuple[Expectation, ...]
    native: tuple[Tensor, ...]
    """The reference's own outputs: their types and sizes are what a candidate must return."""
    lower: tuple[Tensor, ...]
    """The outputs in the next lower precision."""
    layout: Layout = Layout.DENSE
    """How arguments lie in memory, where that is what is tried."""

    @property
    def all_finite(self) -> bool:
        """Whether every expected number is finite."""
        return all(bool(np.isfinite(to_float64(tensor)).all()) for tensor in self.native)


@dataclass(frozen=True, slots=True)
class Values:
    """Values for every tensor of the reference."""

    tensors: dict[str, Tensor]
    """Inputs, parameters and buffers by name."""
    gradients: tuple[Tensor, ...]
    """Backward tasks: a gradient for every floating result of the forward."""


def draw_values(
    reference: ReferenceRunner, task: Task, workload: Workload, distribution: Distribution, seed: int
) -> Values:
    """Draw values for a workload; the reference only tells what gradients it needs.

    Raises
    ------
    UserError
        The reference fails on these sizes.
    """

    def drawn(spec: InputSpec) -> Tensor:
        return draw_tensor(spec, distribution, seed, workload.name)

    tensors = {spec.name: drawn(spec) for spec in workload.inputs}
    if task.direction is Direction.FORWARD:
        return Values(tensors, ())
    forward = reference.run(workload, tensors, Precision.NATIVE)
    specs = [
        InputSpec(name=f"gradient of output {number}", shape=shape, dtype=dtype)
        for number, (dtype, shape) in enumerate(forward.output_gradients)
    ]
    return Values(tensors, tuple(map(drawn, specs)))


def prepare(
    reference: ReferenceRunner, task: Task, workload: Workload, distribution: Distribution, seed: int
) -> Draw | Unsuitable:
    """Draw values, run the reference five ways, and calibrate.

    Raises
    ------
    UserError
        The reference fails on these values.
    """
    values = draw_values(reference, task, workload, distribution, seed)
    tensors, gradients = values.tensors, values.gradients
    native = reference.run(workload, tensors, Precision.NATIVE, gradients)
    oracle = reference.run(workload, tensors, Precision.ORACLE, gradients)
    rng = stream(seed, "neighbours", workload.name, distribution)
    moved = {spec.name: _moved(tensors[spec.name], rng, spec.domain) for spec in workload.inputs}
    moved_gradients = tuple(_moved(tensor, rng, Domain()) for tensor in gradients)
    nearby = reference.run(workload, moved, Precision.ORACLE, moved_gradients)
    lower = reference.run(workload, tensors, Precision.LOWER, gradients)
    textbook = reference.run(workload, tensors, Precision.TEXTBOOK, gradients)
    if len({len(result.outputs) for result in (native, oracle, nearby, lower, textbook)}) != 1:
        raise UserError(f"the reference of {task.slug} returns now more, now fewer tensors on the same sizes")
    _require_outputs(task, len(native.outputs))
    known = list(map(Spread, oracle.outputs, native.outputs, lower.outputs, nearby.outputs, textbook.outputs))
    rng = stream(seed, "scattered", workload.name, distribution)
    spreads = with_terms(known, Scattering(reference, workload, tensors, gradients, rng))
    expectations: list[Expectation] = []
    for number, spread in enumerate(spreads):
        stated = tuple(one for one in task.properties if one.output == number)
        expected = _lawful(spread, stated, tensors) if stated else calibrate(spread, task.tolerance)
        if isinstance(expected, Unsuitable):
            return expected
        expectations.append(expected)
    return Draw(
        workload=workload,
        distribution=distribution,
        arguments=_arguments(task, workload, tensors, gradients, native),
        expectations=tuple(expectations),
        native=native.outputs,
        lower=lower.outputs,
    )


def _require_outputs(task: Task, count: int) -> None:
    beyond = [one for one in task.properties if one.output >= count or (one.times or 0) >= count]
    if beyond:
        raise UserError(f"the task {task.slug} states a property of an output that its reference of {count} lacks")


def _lawful(spread: Spread, stated: tuple[OutputProperty, ...], tensors: Mapping[str, Tensor]) -> Lawful | Unsuitable:
    if not all(np.isfinite(to_float64(known)).all() for known in (spread.oracle, spread.native)):
        return Unsuitable("the reference gives NaN or infinity where properties are to be judged")
    return Lawful(spread.native.dtype, stated, spread.oracle, tensors)


def candidate_arguments(
    reference: ReferenceRunner, task: Task, workload: Workload, values: Values
) -> tuple[Tensor, ...]:
    """Return what a candidate receives of drawn values, without an oracle: for timing."""
    if task.direction is Direction.FORWARD:
        return tuple(values.tensors.values())
    native = reference.run(workload, values.tensors, Precision.NATIVE, values.gradients)
    return _arguments(task, workload, values.tensors, values.gradients, native)


def _arguments(
    task: Task,
    workload: Workload,
    tensors: Mapping[str, Tensor],
    gradients: Sequence[Tensor],
    native: ReferenceResult,
) -> tuple[Tensor, ...]:
    if task.direction is Direction.BACKWARD:
        return (*gradients, *native.saved)
    return tuple(tensors[spec.name] for spec in workload.inputs)


def _moved(tensor: Tensor, rng: np.random.Generator, domain: Domain) -> Tensor:
    """Return the tensor with every element at a neighbouring number, within its domain."""
    if tensor.dtype not in _PERTURBED or domain.kind in _EXACT:
        return tensor
    up = rng.random(tensor.shape) < (0.0 if domain.kind in _DOWNWARDS else 0.5)
    moved = neighbours(tensor, np.asarray(up))
    if domain.kind is not DomainKind.BOUNDED:
        return moved
    return from_array(np.clip(to_array(moved), domain.low, domain.high), tensor.dtype)
