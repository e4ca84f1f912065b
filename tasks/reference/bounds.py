"""Bounds of index tensors: found by running at small sizes, carried over to sizes too large to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.errors import UserError
from tasks.values import InputSpec

Sizes = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Sighting:
    """The bounds of the index tensors at one set of sizes."""

    sizes: dict[str, int]
    """Axis name to size."""
    specs: tuple[InputSpec, ...]
    """The reference's tensors."""
    bounds: dict[str, int]
    """Exclusive bound of each index tensor, by name."""


def extrapolate(name: str, sightings: Sequence[Sighting], sizes: Sizes, specs: tuple[InputSpec, ...]) -> int:
    """Return the bound of an index tensor at sizes where nothing was run.

    It is the size (an axis, or a dimension of a tensor) that the bound equalled in every sighting; failing that the
    bound itself, when it was the same everywhere.

    Raises
    ------
    UserError
        The bound follows no such rule.
    """
    here = _sizes_in_sight(sizes, specs)
    seen = [(_sizes_in_sight(s.sizes, s.specs), s.bounds[name]) for s in sightings]
    for key, size in here.items():
        if all(known.get(key) == bound for known, bound in seen):
            return size
    bounds = {bound for _, bound in seen}
    if len(bounds) == 1:
        return bounds.pop()
    raise UserError(
        f"the largest index that '{name}' takes ({', '.join(map(str, sorted(bounds)))} at different sizes) follows "
        "no size of the reference, so it cannot be told for the sizes of the file"
    )


def _sizes_in_sight(sizes: Sizes, specs: tuple[InputSpec, ...]) -> dict[str, int]:
    dimensions = {f"{spec.name}[{i}]": size for spec in specs for i, size in enumerate(spec.shape)}
    return dict(sizes) | dimensions
