"""Which values are legal for a tensor; the verifier draws freely within them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Self

from pydantic import model_validator

from tasks.record import Value


class DomainKind(StrEnum):
    """The family of legal values of a tensor."""

    REAL = "real"
    """Any finite number, both signs."""
    POSITIVE = "positive"
    """Strictly positive numbers, for instance variances and scales."""
    PROBABILITY = "probability"
    """Numbers in [0, 1]."""
    BOUNDED = "bounded"
    """Numbers from `low` to `high`, both included, for instance quantised integers."""
    SIMPLEX = "simplex"
    """Positive numbers that sum to one along the last dimension."""
    SORTED = "sorted"
    """Never falling along the last dimension; with `high`, integers in [0, high), for instance segment numbers."""
    SYMMETRIC = "symmetric"
    """Symmetric matrices over the last two dimensions."""
    POSITIVE_DEFINITE = "positive_definite"
    """Symmetric positive definite matrices over the last two dimensions."""
    INDEX = "index"
    """Integers in [0, high)."""
    PERMUTATION = "permutation"
    """Integers in [0, high), none of them twice along the last dimension, for instance pages or expert choices."""
    LENGTHS = "lengths"
    """Integers from `low` (0 when left out) to `high`, both included, for instance lengths of sequences."""
    OFFSETS = "offsets"
    """Integers along the last dimension: 0 first, never falling, `high` last, as CSR row pointers."""
    MASK = "mask"
    """0/1 or False/True."""
    CAUSAL = "causal"
    """The mask of the last two dimensions that lets row i see columns up to i + columns - rows."""


_TAKES_LOW: Final = frozenset({DomainKind.BOUNDED, DomainKind.LENGTHS})
_NEEDS_HIGH: Final = frozenset(
    {DomainKind.BOUNDED, DomainKind.INDEX, DomainKind.PERMUTATION, DomainKind.LENGTHS, DomainKind.OFFSETS}
)
_INTEGERS: Final = frozenset({DomainKind.INDEX, DomainKind.PERMUTATION, DomainKind.LENGTHS, DomainKind.OFFSETS})
_FLOATING: Final = frozenset({DomainKind.SIMPLEX, DomainKind.SYMMETRIC, DomainKind.POSITIVE_DEFINITE})
_ROWS: Final = frozenset({DomainKind.SIMPLEX, DomainKind.SORTED, DomainKind.PERMUTATION, DomainKind.OFFSETS})
_MATRICES: Final = frozenset({DomainKind.SYMMETRIC, DomainKind.POSITIVE_DEFINITE, DomainKind.CAUSAL})
_SQUARE: Final = frozenset({DomainKind.SYMMETRIC, DomainKind.POSITIVE_DEFINITE})


class Domain(Value):
    """The legal values of one tensor."""

    kind: DomainKind = DomainKind.REAL
    """The family of values."""
    low: int | float | None = None
    """Least legal value; required for `bounded`, allowed for `lengths`, meaningless elsewhere."""
    high: int | float | None = None
    """Upper bound: exclusive for `index`, `permutation` and `sorted`, inclusive for `bounded`, `lengths` and
    `offsets`. Required but for `sorted`, meaningless elsewhere; an integer but for `bounded`."""

    @model_validator(mode="after")
    def _bounds_fit_the_kind(self) -> Self:
        kind = self.kind
        if kind in _NEEDS_HIGH and self.high is None:
            raise ValueError(f"a domain of kind '{kind}' needs 'high'")
        if self.high is not None and kind not in _NEEDS_HIGH and kind is not DomainKind.SORTED:
            raise ValueError(f"a domain of kind '{kind}' takes no 'high'")
        if self.low is not None and kind not in _TAKES_LOW:
            raise ValueError(f"a domain of kind '{kind}' takes no 'low'")
        if kind is DomainKind.BOUNDED and self.low is None:
            raise ValueError("a domain of kind 'bounded' needs 'low'")
        if kind is not DomainKind.BOUNDED and any(isinstance(bound, float) for bound in (self.low, self.high)):
            raise ValueError(f"the bounds of a domain of kind '{kind}' are integers")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"'low' {self.low} lies above 'high' {self.high}")
        return self

    @property
    def end(self) -> int:
        """`high` of a kind that counts; 0 where there is none."""
        return int(self.high or 0)

    def misfit(self, shape: Sequence[int], *, floating: bool) -> str:
        """Say why no tensor of this shape and type has such values; empty when there are some."""
        kind = self.kind
        least_rank = 2 if kind in _MATRICES else 1 if kind in _ROWS else 0
        if len(shape) < least_rank:
            return f"values of kind '{kind}' need {least_rank} dimensions or more"
        if kind in _INTEGERS and floating:
            return f"values of kind '{kind}' are integers"
        if kind in _FLOATING and not floating:
            return f"values of kind '{kind}' are floating-point numbers"
        if kind in _SQUARE and shape[-1] != shape[-2]:
            return f"matrices of kind '{kind}' are square, not {shape[-2]} by {shape[-1]}"
        if kind is DomainKind.PERMUTATION and shape[-1] > self.end:
            return f"{shape[-1]} different integers do not fit below {self.end}"
        return ""

    def __str__(self) -> str:
        """Return the values in words, for a person or a prompt; empty for any real number."""
        return _WORDS[self.kind].format(low=self.low or 0, high=self.high)


_WORDS: Final = {
    DomainKind.REAL: "",
    DomainKind.POSITIVE: "positive",
    DomainKind.PROBABILITY: "in [0, 1]",
    DomainKind.BOUNDED: "from {low} to {high}",
    DomainKind.SIMPLEX: "positive, sums to one along the last dimension",
    DomainKind.SORTED: "ascending along the last dimension",
    DomainKind.SYMMETRIC: "symmetric matrices",
    DomainKind.POSITIVE_DEFINITE: "symmetric positive definite matrices",
    DomainKind.INDEX: "in [0, {high})",
    DomainKind.PERMUTATION: "in [0, {high}), all different along the last dimension",
    DomainKind.LENGTHS: "integers from {low} to {high}",
    DomainKind.OFFSETS: "offsets from 0 to {high}, ascending along the last dimension",
    DomainKind.MASK: "0 or 1",
    DomainKind.CAUSAL: "causal mask, 0 or 1",
}
