"""A model traced into its operators, at one set of sizes."""

from __future__ import annotations

from enum import StrEnum

from tasks.values import DType, Value

NUMBER = "\x00"
"""Stands in an operator's text for one of its integers."""


class OperatorKind(StrEnum):
    """How an operator fuses with others."""

    SOURCE = "source"
    """An input, parameter or buffer of the model."""
    FREE = "free"
    """A view, or a tensor made of nothing: costs nothing by itself, and goes wherever it is used."""
    POINTWISE = "pointwise"
    """Element by element: joins whatever computes one of its operands."""
    REDUCTION = "reduction"
    """Over an axis: joins a chain of pointwise operators and reductions."""
    CONTRACTION = "contraction"
    """A matrix product, convolution or attention: begins a group, at most one in each."""
    OTHER = "other"
    """Anything else (sorting, gathering, pooling): begins a group."""


class Operator(Value):
    """One operator of a traced model, at one set of sizes."""

    name: str
    """Of its result."""
    op: str
    """Operator, as `aten::addmm`; the dotted name of a source."""
    kind: OperatorKind
    """How it fuses."""
    text: str = ""
    """The call as Python, with `NUMBER` for each integer."""
    numbers: tuple[int, ...] = ()
    """The integers, in order."""
    uses: tuple[str, ...] = ()
    """Names of the results that it takes."""
    shape: tuple[int, ...] = ()
    """Sizes of its (first) result."""
    dtype: DType | None = None
    """Element type of its (first) result; None when tasks lack it."""
    nbytes: int = 0
    """Bytes that eager PyTorch reads and writes for it."""
    flops: int = 0
    """Its floating-point operations."""


class Trace(Value):
    """A model's operators at one set of sizes, operands before their users."""

    axes: dict[str, int]
    operators: tuple[Operator, ...]
    results: tuple[str, ...]
    """Names of what the model returns."""
