"""Judges outputs by what they must satisfy, where the oracle's numbers are only one of several right answers.

Eigenvectors have no sign of their own, and equal keys may be sorted in any order: comparing numbers would accuse an
honest kernel. Each property is checked in float64, over all rows or matrices of an output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from sandbox.values import Tensor
from tasks.values import DType, OutputProperty, PropertyKind
from verifier.tensors import Array, FloatArray, to_array, to_float64


@dataclass(frozen=True, slots=True)
class Lawful:
    """What one output must be: of any numbers that have the properties."""

    dtype: DType
    properties: tuple[OutputProperty, ...]
    oracle: Tensor
    inputs: Mapping[str, Tensor]
    """The reference's tensors by name."""


@dataclass(frozen=True, slots=True)
class _Case:
    """One property of one output, with everything that it speaks of."""

    stated: OutputProperty
    output: Tensor
    outputs: Sequence[Tensor]
    oracle: Tensor
    inputs: Mapping[str, Tensor]

    @property
    def values(self) -> FloatArray:
        return to_float64(self.output)

    @property
    def tolerance(self) -> float:
        return self.stated.tolerance or 0.0

    @property
    def input(self) -> Array:
        return to_array(self.inputs[self.stated.of or ""])


def fault(expected: Lawful, output: Tensor, outputs: Sequence[Tensor]) -> str:
    """Return the first property that the output lacks and by how much; empty when it has all.

    Parameters
    ----------
    expected
        The properties.
    output
        The output, of the right type and sizes.
    outputs
        All outputs of the same call.
    """
    if not np.isfinite(to_float64(output)).all():
        return "holds NaN or infinity"
    for stated in expected.properties:
        case = _Case(stated, output, outputs, expected.oracle, expected.inputs)
        with np.errstate(over="ignore", invalid="ignore"):
            found = _FAULTS[stated.kind](case)
        if found:
            return f"{stated.kind}: {found}"
    return ""


def _falls(case: _Case) -> str:
    return _first(np.diff(case.values, axis=-1) < 0, "falls")


def _rises(case: _Case) -> str:
    return _first(np.diff(case.values, axis=-1) > 0, "rises")


def _loses_values(case: _Case) -> str:
    wanted = np.sort(case.input, axis=-1)
    if wanted.shape != case.output.shape:
        return f"the input '{case.stated.of}' has shape {wanted.shape}"
    return _first(np.sort(to_array(case.output), axis=-1) != wanted, "other values in the row, in order")


def _selects_otherwise(case: _Case) -> str:
    chosen, right, source = to_array(case.output), to_array(case.oracle), case.input
    if chosen.shape[:-1] != source.shape[:-1]:
        return f"the input '{case.stated.of}' has shape {source.shape}"
    outside = (chosen < 0) | (chosen >= source.shape[-1])
    if outside.any():
        return _first(outside, "an index outside the row")
    if (np.diff(np.sort(chosen, axis=-1), axis=-1) == 0).any():
        return "an index occurs twice in a row"
    picked, wanted = (np.take_along_axis(source, indices, -1) for indices in (chosen, right))
    return _first(picked != wanted, f"picks another value of '{case.stated.of}' than the reference")


def _misses_one(case: _Case) -> str:
    values = case.values
    excess = np.abs(values.sum(axis=-1) - 1.0)
    return _first(values < -case.tolerance, "a negative number") or _beyond(excess, case.tolerance, "sum off by")


def _not_orthogonal(case: _Case) -> str:
    values = case.values
    gram = np.swapaxes(values, -1, -2) @ values
    return _beyond(np.abs(gram - np.eye(gram.shape[-1])), case.tolerance, "QᵀQ off from the identity by")


def _not_upper(case: _Case) -> str:
    return _first(np.tril(case.values, -1) != 0, "not zero below the diagonal")


def _not_lower(case: _Case) -> str:
    return _first(np.triu(case.values, 1) != 0, "not zero above the diagonal")


def _other_product(case: _Case) -> str:
    target = case.input.astype(np.float64)
    product = case.values @ to_float64(case.outputs[case.stated.times or 0])
    room = case.tolerance * float(np.max(np.abs(target), initial=0.0))
    return _beyond(np.abs(product - target), room, f"the product off from '{case.stated.of}' by")


def _other_columns(case: _Case) -> str:
    values, right = case.values, to_float64(case.oracle)
    distance = np.minimum(np.abs(values - right).max(axis=-2), np.abs(values + right).max(axis=-2))
    return _beyond(distance, case.tolerance * float(np.max(np.abs(right), initial=0.0)), "a column off by")


def _first(wrong: npt.NDArray[np.bool_], what: str) -> str:
    if not wrong.any():
        return ""
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
    return f"{what} at {place} and {int(np.count_nonzero(wrong)) - 1} other places"


def _beyond(error: FloatArray, room: float, what: str) -> str:
    worst = float(np.max(error, initial=0.0))
    return (
        "" if worst <= room else f"{what} {worst:.3g}, more than {room:.3g}"
    )  # NaN, where sums overflowed, is no number


_FAULTS: Final[dict[PropertyKind, Callable[[_Case], str]]] = {
    PropertyKind.SORTED: _falls,
    PropertyKind.DESCENDING: _rises,
    PropertyKind.REARRANGES: _loses_values,
    PropertyKind.SELECTS: _selects_otherwise,
    PropertyKind.SUMS_TO_ONE: _misses_one,
    PropertyKind.ORTHOGONAL: _not_orthogonal,
    PropertyKind.UPPER_TRIANGULAR: _not_upper,
    PropertyKind.LOWER_TRIANGULAR: _not_lower,
    PropertyKind.MULTIPLIES_TO: _other_product,
    PropertyKind.UP_TO_SIGN: _other_columns,
}
