"""The tensors that a reference reads: at concrete sizes, and as rules over the task's axes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Self

from pydantic import model_validator

from tasks.domains import Domain, DomainKind
from tasks.expressions import evaluate
from tasks.record import Value


class DType(StrEnum):
    """Element types that tasks and candidates exchange (names as in torch and NumPy)."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    INT64 = "int64"
    INT32 = "int32"
    INT16 = "int16"
    INT8 = "int8"
    UINT8 = "uint8"
    BOOL = "bool"

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return _ITEMSIZE[self]

    @property
    def is_floating(self) -> bool:
        """Whether elements are floating-point numbers."""
        return self in _FLOATING


_ITEMSIZE = {
    DType.FLOAT64: 8,
    DType.FLOAT32: 4,
    DType.FLOAT16: 2,
    DType.BFLOAT16: 2,
    DType.INT64: 8,
    DType.INT32: 4,
    DType.INT16: 2,
    DType.INT8: 1,
    DType.UINT8: 1,
    DType.BOOL: 1,
}
_FLOATING = frozenset({DType.FLOAT64, DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16})


class Role(StrEnum):
    """Where a reference tensor comes from; the order below is a forward candidate's argument order."""

    INPUT = "input"
    PARAMETER = "parameter"
    BUFFER = "buffer"


class InputSpec(Value):
    """One tensor that the reference reads, with concrete sizes."""

    name: str
    """Parameter name in the reference's forward, or the dotted name of a parameter or buffer."""
    shape: tuple[int, ...]
    """Sizes; () is a scalar tensor."""
    dtype: DType
    """Element type."""
    domain: Domain = Domain()
    """Legal values."""
    role: Role = Role.INPUT
    """Input, parameter or buffer."""

    @model_validator(mode="after")
    def _domain_fits(self) -> Self:
        misfit = self.domain.misfit(self.shape, floating=self.dtype.is_floating)
        if misfit:
            raise ValueError(f"'{self.name}': {misfit}")
        return self

    @property
    def nbytes(self) -> int:
        """Size of the dense tensor in bytes."""
        count = 1
        for size in self.shape:
            count *= size
        return count * self.dtype.itemsize


Size = int | str
"""A size: an integer, or arithmetic (`+ - * // % **`) over the axes, for instance `"2 * cols"`."""


class TensorEntry(Value):
    """`[[tensors]]`: one tensor of the reference, in the order inputs, parameters, buffers."""

    name: str
    """Parameter name in `forward`, or the dotted name of a parameter or buffer."""
    shape: tuple[Size, ...]
    """Sizes over the axes."""
    dtype: DType = DType.FLOAT32
    """Element type."""
    role: Role = Role.INPUT
    """`input`, `parameter` or `buffer`."""
    domain: DomainKind = DomainKind.REAL
    """Legal values, see [domains](#domains-which-values-are-legal)."""
    low: Size | float | None = None
    """Lower bound of the domain; over the axes, but for `bounded`."""
    high: Size | float | None = None
    """Upper bound of the domain; over the axes, but for `bounded`."""

    def spec(self, axes: Mapping[str, int]) -> InputSpec:
        """Return the tensor at concrete sizes.

        Raises
        ------
        ExpressionError
            A size or bound is no arithmetic over the axes.
        ValidationError
            No tensor of these sizes has values in the domain.
        """
        low, high = (_bound(bound, axes) for bound in (self.low, self.high))
        return InputSpec(
            name=self.name,
            shape=tuple(evaluate(size, axes) for size in self.shape),
            dtype=self.dtype,
            domain=Domain(kind=self.domain, low=low, high=high),
            role=self.role,
        )


def _bound(bound: Size | float | None, axes: Mapping[str, int]) -> int | float | None:
    return evaluate(bound, axes) if isinstance(bound, str) else bound
