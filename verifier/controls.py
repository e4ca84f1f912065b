"""Outputs that must fail. If one of them passes on every draw, the task cannot tell a kernel from no kernel.

Published benchmarks hold tasks that zeros pass, that the mean passes under a loose tolerance, and that the
input itself passes because it is never negative. The controls find such a task before a candidate profits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from sandbox.values import Tensor
from tasks.errors import UserError
from verifier.tensors import from_array, from_storage, same_bits, storage, to_float64
from verifier.tolerance import Expectation, compare


class Control(StrEnum):
    """Wrong outputs that cost nothing to make."""

    ZEROS = "zeros"
    MEAN = "the oracle's mean everywhere"
    INPUT = "an input unchanged"
    SHIFTED = "the oracle shifted by one element"
    REVERSED = "the oracle in reverse order"
    STALE = "the oracle of the draw before"
    LOWER = "the reference in the next lower precision"


_FREE = frozenset({Control.ZEROS, Control.INPUT, Control.STALE})
"""Outputs that can be had without any work: that they are the right result on every draw is no excuse. The others are
made from the right result, so where they equal it they say nothing."""


@dataclass
class ControlLedger:
    """Which controls have already failed, as they should, over the draws of one verification."""

    lower_matters: bool = True
    """Whether the lower precision is a control: a task's own tolerance may mean to allow it."""
    tried: dict[Control, int] = field(default_factory=dict)
    """Draws on which the control passed."""
    failed: set[Control] = field(default_factory=set)
    """Controls that some draw told from the right result."""
    _previous: tuple[Tensor, ...] = ()

    def observe(
        self,
        inputs: Sequence[Tensor],
        native: Sequence[Tensor],
        lower: Sequence[Tensor],
        expectations: Sequence[Expectation],
    ) -> None:
        """Compare every control that has not failed yet against one draw's expectations."""
        if not any(tensor.data for tensor in native):
            return
        previous, self._previous = self._previous, tuple(native)
        for control in Control:
            if control in self.failed or not self._counts(control):
                continue
            outputs = _imitate(control, inputs, native, lower, previous)
            if outputs is None and control is Control.INPUT:
                self.failed.add(control)  # it has another type or other sizes here, which is as wrong as other numbers
            if outputs is None or (control not in _FREE and all(map(same_bits, outputs, native))):
                continue
            pairs = zip(outputs, expectations, strict=True)
            if all(compare(made, expected, outputs).passed for made, expected in pairs):
                self.tried[control] = self.tried.get(control, 0) + 1
            else:
                self.failed.add(control)

    @property
    def undetected(self) -> tuple[Control, ...]:
        """Controls that passed wherever they were tried."""
        return tuple(control for control in Control if control in self.tried and control not in self.failed)

    def settle(self, task: str) -> str:
        """Return the sentence for a verdict once every draw was seen.

        Raises
        ------
        UserError
            A control passed everywhere: the task, or its tolerance, cannot tell a right kernel from a wrong one.
        """
        if self.undetected:
            names = ", ".join(f"'{control}'" for control in self.undetected)
            raise UserError(
                f"the task {task} cannot be verified: {names} would pass every check, so passing means nothing; "
                "give inputs on which the result varies, or a tighter tolerance"
            )
        told = "fail as they should: " + ", ".join(control for control in Control if control in self.failed)
        idle = [control for control in Control if control not in self.failed and self._counts(control)]
        if not idle:
            return told
        return f"{told}; not tried, for want of a draw on which it is not the right result: {', '.join(idle)}"

    def _counts(self, control: Control) -> bool:
        return self.lower_matters or control is not Control.LOWER


def _imitate(
    control: Control,
    inputs: Sequence[Tensor],
    native: Sequence[Tensor],
    lower: Sequence[Tensor],
    previous: Sequence[Tensor],
) -> tuple[Tensor, ...] | None:
    """Return the control's outputs, None where it does not apply to this draw."""
    if control is Control.LOWER:
        return tuple(lower)
    if control is Control.STALE:
        fits = [(t.dtype, t.shape) for t in previous] == [(t.dtype, t.shape) for t in native]
        return tuple(previous) if fits else None
    if control is Control.INPUT:
        return _inputs_as_outputs(inputs, native)
    return tuple(_distort(control, tensor) for tensor in native)


def _distort(control: Control, tensor: Tensor) -> Tensor:
    stored = storage(tensor)
    match control:
        case Control.ZEROS:
            return from_storage(np.zeros_like(stored), tensor.dtype)
        case Control.SHIFTED:
            return from_storage(np.roll(stored, 1), tensor.dtype)
        case Control.REVERSED:
            return from_storage(stored.reshape(-1)[::-1].reshape(stored.shape), tensor.dtype)
        case _:
            values = to_float64(tensor)
            finite = values[np.isfinite(values)]
            mean = float(finite.mean()) if finite.size else 0.0
            return from_array(np.full(tensor.shape, mean), tensor.dtype)


def _inputs_as_outputs(inputs: Sequence[Tensor], native: Sequence[Tensor]) -> tuple[Tensor, ...] | None:
    """For every output the first input of its type and sizes; None when one has no such input."""
    chosen = []
    for output in native:
        fitting = next((t for t in inputs if t.dtype is output.dtype and t.shape == output.shape), None)
        if fitting is None:
            return None
        chosen.append(fitting)
    return tuple(chosen)
