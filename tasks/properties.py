"""What an output must satisfy where the oracle's own numbers are only one of several right answers."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Self

from pydantic import Field, model_validator

from tasks.record import Value


class PropertyKind(StrEnum):
    """A property that the verifier judges of an output, row by row or matrix by matrix."""

    SORTED = "sorted"
    """Never falls along the last dimension."""
    DESCENDING = "descending"
    """Never rises along the last dimension."""
    REARRANGES = "rearranges"
    """Each row holds the values of the same row of the input `of`, in any order, bit for bit."""
    SELECTS = "selects"
    """Different indices into the rows of the input `of`, at which it has the values that it has at the oracle's."""
    SUMS_TO_ONE = "sums_to_one"
    """Rows sum to one within `tolerance`, and no element lies below -`tolerance`."""
    ORTHOGONAL = "orthogonal"
    """Columns of length one at right angles, within `tolerance`."""
    UPPER_TRIANGULAR = "upper_triangular"
    """Zero below the diagonal."""
    LOWER_TRIANGULAR = "lower_triangular"
    """Zero above the diagonal."""
    MULTIPLIES_TO = "multiplies_to"
    """Times the output `times`, as matrices, it is the input `of`, within `tolerance` of that one's largest number."""
    UP_TO_SIGN = "up_to_sign"
    """Each column is the oracle's or its negative, within `tolerance` of its largest number."""


_SAID: Final = {
    PropertyKind.SORTED: "never falls along the last dimension",
    PropertyKind.DESCENDING: "never rises along the last dimension",
    PropertyKind.REARRANGES: "holds in each row the values of the same row of `{of}`, in any order, bit for bit",
    PropertyKind.SELECTS: "holds different indices into the rows of `{of}`, at which that has the reference's values",
    PropertyKind.SUMS_TO_ONE: "has rows that sum to one within {tolerance:g}, no element below -{tolerance:g}",
    PropertyKind.ORTHOGONAL: "has columns of length one at right angles, within {tolerance:g}",
    PropertyKind.UPPER_TRIANGULAR: "is zero below the diagonal",
    PropertyKind.LOWER_TRIANGULAR: "is zero above the diagonal",
    PropertyKind.MULTIPLIES_TO: "times output {times} is `{of}`, within {tolerance:g} of that one's largest number",
    PropertyKind.UP_TO_SIGN: "has the reference's columns or their negatives, within {tolerance:g} of the largest",
}
"""What an output with the property does, in words."""

_OF_INPUT: Final = frozenset({PropertyKind.REARRANGES, PropertyKind.SELECTS, PropertyKind.MULTIPLIES_TO})
_WITHIN: Final = frozenset(
    {PropertyKind.SUMS_TO_ONE, PropertyKind.ORTHOGONAL, PropertyKind.MULTIPLIES_TO, PropertyKind.UP_TO_SIGN}
)


class OutputProperty(Value):
    """`[[properties]]`: what an output must satisfy; it is then not compared with the oracle's numbers."""

    output: int = Field(default=0, ge=0)
    """Which output; several properties of one output must all hold."""
    kind: PropertyKind
    """`sorted`, `descending`, `rearranges`, `selects`, `sums_to_one`, `orthogonal`, `upper_triangular`,
    `lower_triangular`, `multiplies_to` or `up_to_sign`."""
    of: str | None = None
    """An input's name; `rearranges`, `selects` and `multiplies_to` need it."""
    times: int | None = Field(default=None, ge=0)
    """The other output; `multiplies_to` needs it."""
    tolerance: float | None = Field(default=None, ge=0)
    """How far off it may be; `sums_to_one`, `orthogonal`, `multiplies_to` and `up_to_sign` need it."""
    reason: str = Field(min_length=1)
    """Why other numbers than the oracle's are right too."""

    def __str__(self) -> str:
        """Return the property in words: `never falls along the last dimension`."""
        return _SAID[self.kind].format(of=self.of, times=self.times, tolerance=self.tolerance)

    @model_validator(mode="after")
    def _arguments_fit_the_kind(self) -> Self:
        for name, given, needed in (
            ("of", self.of, self.kind in _OF_INPUT),
            ("times", self.times, self.kind is PropertyKind.MULTIPLIES_TO),
            ("tolerance", self.tolerance, self.kind in _WITHIN),
        ):
            if (given is not None) != needed:
                raise ValueError(f"a property of kind '{self.kind}' {'needs' if needed else 'takes no'} '{name}'")
        return self
