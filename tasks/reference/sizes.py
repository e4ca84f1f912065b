"""Chooses the sizes at which an op is verified: 1, primes, powers of two and their neighbours, long and short axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tasks.inference import MOST_ELEMENTS

Sizes = Mapping[str, int]

_WHOLE = 1 << 27
"""Largest weight of a network that is verified whole: more does not run in the memory that a reference may use."""

_BASE_ELEMENTS = 1 << 15
_LONGEST_AXIS = 1 << 13
_LEAST_BOUND = 8
_POWERS = tuple(1 << k for k in range(1, 14))
_ABOVE = tuple(p + 1 for p in _POWERS)
_BELOW = tuple(p - 1 for p in _POWERS[1:])
_PRIMES = (2, 3, 5, 7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191)


@dataclass(frozen=True, slots=True)
class Trial:
    """How one set of sizes went."""

    runs: bool
    """Whether the reference runs at these sizes."""
    elements: int = 0
    """Elements of its largest tensor."""


class SizeSearch:
    """Finds sets of sizes that a reference accepts, by trying.

    Parameters
    ----------
    defaults
        Sizes of the source.
    attempt
        Tells how the reference goes at given sizes.
    most
        Elements of the largest tensor that sizes for verification may have.
    """

    def __init__(self, defaults: Sizes, attempt: Callable[[Sizes], Trial], most: int = MOST_ELEMENTS) -> None:
        self._most = most
        self._defaults = dict(defaults)
        self._attempt = attempt
        self._tried: dict[tuple[tuple[str, int], ...], Trial] = {}

    def attempt(self, sizes: Sizes) -> Trial:
        """Return how the reference goes at `sizes`, asking once for each set."""
        key = tuple(sorted(sizes.items()))
        if key not in self._tried:
            self._tried[key] = self._attempt(sizes)
        return self._tried[key]

    def fits(self, sizes: Sizes) -> bool:
        """Tell whether `sizes` may serve for verification."""
        trial = self.attempt(sizes)
        return trial.runs and trial.elements <= self._most

    def with_whole_weights(self) -> SizeSearch:
        """Return the same search for a network whose weights do not shrink: these may be as large as they are."""
        return SizeSearch(
            self._defaults, self.attempt, max(MOST_ELEMENTS, min(self.attempt(self.base).elements, _WHOLE))
        )

    @cached_property
    def base(self) -> dict[str, int]:
        """Small sizes in the proportions of the source's: the longest axis that can be halved is, until they fit."""
        sizes = dict(self._defaults)
        while self.attempt(sizes).elements > _BASE_ELEMENTS:
            halved = self._halved(sizes)
            if halved is None:
                break
            sizes = halved
        return sizes

    def lowest(self, name: str) -> int:
        """Return the smallest of a few sizes that an axis takes beside the base sizes, else its base size."""
        small = [size for size in (1, 2, 3, 4, 8) if size < self.base[name]]
        return next((size for size in small if self.attempt(self.base | {name: size}).runs), self.base[name])

    def varied(self) -> Iterator[dict[str, int]]:
        """Yield distinct sets of sizes, the most telling first; every one runs and is small enough."""
        seen: list[dict[str, int]] = []
        for wanted in self._wanted():
            sizes = self._repaired(wanted)
            if sizes not in seen and self.fits(sizes):
                seen.append(sizes)
                yield sizes

    def _wanted(self) -> Iterator[dict[str, int]]:
        names = list(self.base)
        if names:
            yield self._near(_PRIMES) | {names[0]: 1}
            yield self._near(_ABOVE, scale=0.5)
            yield self._long(names[-1], _PRIMES)
            yield self._near(_BELOW)
            yield self._near(_ABOVE) | {names[-1]: 1}
            yield self._long(names[0], _ABOVE)
            yield self._near(_PRIMES)
            yield self._long(names[-1], _POWERS)
            yield self._near(_POWERS, scale=0.5)
            yield from (self._near(_BELOW) | {name: 1} for name in names[1:-1])
            yield from (self._long(name, _ABOVE) for name in names[1:-1])
        yield dict(self.base)

    def _near(self, members: Sequence[int], scale: float = 1.0) -> dict[str, int]:
        """Give every axis the member nearest to its base size (times `scale`), no two axes the same where possible.

        An axis that takes no such size next to the base sizes gets three times its base size, or keeps that.
        """
        sizes: dict[str, int] = {}
        for name, target in self.base.items():
            legal = [member for member in members if member <= self._bound(name)]
            ranked = sorted(legal, key=lambda member: abs(math.log(member / (target * scale))))
            sizes[name] = next((member for member in ranked if member not in sizes.values()), target)
        if self.attempt(sizes).runs:
            return sizes
        return {name: self._accepted(name, size) for name, size in sizes.items()}

    def _long(self, name: str, members: Sequence[int]) -> dict[str, int]:
        """Make one axis as long as fits, and the others short."""
        short = {other: self._accepted(other, min(3, self.base[other])) for other in self.base}
        for member in reversed([member for member in members if member <= self._bound(name)]):
            sizes = short | {name: member}
            if self.fits(sizes):
                return sizes
        return short | {name: self.base[name]}

    def _accepted(self, name: str, size: int) -> int:
        """Return `size` when the axis takes it next to the base sizes, else a size that it does take."""
        for other in (size, 3 * self.base[name]):
            if other <= self._bound(name) and self.fits(self.base | {name: other}):
                return other
        return self.base[name]

    def _bound(self, name: str) -> int:
        return min(_LONGEST_AXIS, max(2 * self._defaults[name], _LEAST_BOUND))

    def _repaired(self, sizes: dict[str, int]) -> dict[str, int]:
        """Return axes to their base sizes, one after the other, until the reference runs."""
        repaired = dict(sizes)
        for name in sizes:
            if self.fits(repaired):
                break
            repaired[name] = self.base[name]
        return repaired

    def _halved(self, sizes: dict[str, int]) -> dict[str, int] | None:
        for name in sorted(sizes, key=lambda n: -sizes[n]):
            if sizes[name] > 1:
                halved = sizes | {name: sizes[name] // 2}
                trial = self.attempt(halved)
                current = self.attempt(sizes)
                if (trial.runs or not current.runs) and trial.elements <= current.elements:
                    return halved
        return None
