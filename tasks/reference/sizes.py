"""Chooses the sizes at which an op is verified: 1, primes, powers of two and their neighbours, long and short axes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Sizes = Mapping[str, int]

MOST_ELEMENTS = 1 << 16
"""Largest tensor of a verification workload: small enough to run many times on a simulated device."""

_BASE_ELEMENTS = 1 << 14
_LONGEST_AXIS = 1 << 13
_POWERS = tuple(1 << k for k in range(1, 14))
_PRIMES = (2, 3, 5, 7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191)
_FAMILIES: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("prime", _PRIMES),
    ("above", tuple(p + 1 for p in _POWERS)),
    ("below", tuple(p - 1 for p in _POWERS if p > 2)),  # noqa: PLR2004 - 2 - 1 is the size 1, which has its own sets
    ("power", _POWERS),
)


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
        Sizes of the source, at which it runs.
    attempt
        Runs the reference on shapes only, and tells how that went.
    """

    def __init__(self, defaults: Sizes, attempt: Callable[[Sizes], Trial]) -> None:
        self._defaults = dict(defaults)
        self._attempt = attempt
        self._tried: dict[tuple[tuple[str, int], ...], Trial] = {}

    def attempt(self, sizes: Sizes) -> Trial:
        """Return how the reference goes at `sizes`, asking once for each set."""
        key = tuple(sorted(sizes.items()))
        if key not in self._tried:
            self._tried[key] = self._attempt(sizes)
        return self._tried[key]

    def base(self) -> dict[str, int]:
        """Return a small set of sizes, by halving the longest axis that can be halved."""
        sizes = dict(self._defaults)
        while self.attempt(sizes).elements > _BASE_ELEMENTS:
            for name in sorted(sizes, key=lambda n: -sizes[n]):
                halved = sizes | {name: sizes[name] // 2}
                if sizes[name] > 1 and self._shrinks(halved, sizes):
                    sizes = halved
                    break
            else:
                return sizes
        return sizes

    def lowest(self, name: str) -> int:
        """Return the smallest of 1, 2, 3, ... that the axis takes beside the base sizes, else its base size."""
        base = self.base()
        small = (1, 2, 3, 4, *_POWERS[2:])
        return next((s for s in small if self.attempt(base | {name: s}).runs), base[name])

    def varied(self) -> Iterator[dict[str, int]]:
        """Yield distinct sets of sizes, the most telling first; every one runs and is small enough."""
        base = self.base()
        seen: set[tuple[tuple[str, int], ...]] = set()
        for wanted in self._wanted(base):
            sizes = self._repaired(wanted, base)
            key = tuple(sorted(sizes.items()))
            if key not in seen and self._fits(sizes):
                seen.add(key)
                yield sizes

    def _wanted(self, base: dict[str, int]) -> Iterator[dict[str, int]]:
        names = list(base)
        families = [self._family(base, members) for _, members in _FAMILIES]
        prime, above, below, power = families
        for name in names[:1]:
            yield prime | {name: 1}
        yield above
        yield from (self._long(base, name, _PRIMES) for name in reversed(names))
        yield below
        for name in names[1:]:
            yield above | {name: 1}
        yield from (self._long(base, name, tuple(p + 1 for p in _POWERS)) for name in reversed(names))
        yield prime
        yield power
        yield dict(base)

    def _family(self, base: dict[str, int], members: Sequence[int]) -> dict[str, int]:
        """Give every axis a member of the family that it takes alone, as large as all together may be."""
        legal = {name: self._legal(base, name, members) for name in base}
        sizes = {name: values[-1] if values else base[name] for name, values in legal.items()}
        while self.attempt(sizes).elements > MOST_ELEMENTS or not self.attempt(sizes).runs:
            smaller = {n: [v for v in legal[n] if v < size] for n, size in sizes.items()}
            shrinkable = [n for n in sizes if smaller[n]]
            if not shrinkable:
                break
            name = max(shrinkable, key=sizes.__getitem__)
            sizes[name] = smaller[name][-1]
        return sizes

    def _long(self, base: dict[str, int], name: str, members: Sequence[int]) -> dict[str, int]:
        """Make one axis long and the others short."""
        short = {other: next(iter(self._legal(base, other, (2, 3, 4, 5, 8))), base[other]) for other in base}
        fitting = [v for v in self._legal(short, name, members) if self._fits(short | {name: v})]
        return short | {name: fitting[-1] if fitting else base[name]}

    def _legal(self, base: dict[str, int], name: str, members: Sequence[int]) -> list[int]:
        bound = min(_LONGEST_AXIS, max(2 * self._defaults[name], 32))
        return [v for v in members if v <= bound and self.attempt(base | {name: v}).runs]

    def _repaired(self, sizes: dict[str, int], base: Sizes) -> dict[str, int]:
        """Return axes to their base sizes, one after the other, until the reference runs."""
        repaired = dict(sizes)
        for name in sizes:
            if self._fits(repaired):
                break
            repaired[name] = base[name]
        return repaired

    def _fits(self, sizes: Sizes) -> bool:
        trial = self.attempt(sizes)
        return trial.runs and trial.elements <= MOST_ELEMENTS

    def _shrinks(self, smaller: Sizes, sizes: Sizes) -> bool:
        trial = self.attempt(smaller)
        return trial.runs and trial.elements <= self.attempt(sizes).elements
