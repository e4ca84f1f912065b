"""How tensors follow the axes, read off workloads: an axis, a multiple, a share, a step, a product of two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tasks.expressions import evaluate
from tasks.tensors import InputSpec, Size, TensorEntry

Sizes = Mapping[str, int]
Sighting = tuple[Sizes, tuple[InputSpec, ...]]
"""Sizes, and the tensors at these sizes."""


def infer_tensors(sightings: Sequence[Sighting]) -> tuple[TensorEntry, ...] | None:
    """Return the tensors with every size and bound as an expression over the axes that holds in all sightings.

    None where the sightings have other tensors, or some size follows no such rule.
    """
    axes = [sizes for sizes, _ in sightings]
    columns = [specs for _, specs in sightings]
    if not sightings or any(_form(specs) != _form(columns[0]) for specs in columns):
        return None
    entries = [_entry(axes, seen) for seen in zip(*columns, strict=True)]
    found = tuple(entry for entry in entries if entry is not None)
    return found if len(found) == len(entries) else None


def _form(specs: Sequence[InputSpec]) -> list[tuple[object, ...]]:
    """Return what must be the same at all sizes."""
    return [(s.name, len(s.shape), s.dtype, s.role, s.domain.kind, s.domain.high is None) for s in specs]


def _entry(axes: Sequence[Sizes], seen: Sequence[InputSpec]) -> TensorEntry | None:
    first = seen[0]
    sizes = [size_rule(axes, values) for values in zip(*(spec.shape for spec in seen), strict=True)]
    bounds = [_bound(axes, [getattr(spec.domain, name) for spec in seen]) for name in ("low", "high")]
    shape = tuple(size for size in sizes if size is not None)
    if len(shape) < len(sizes) or any(isinstance(bound, _Unruled) for bound in bounds):
        return None
    low, high = bounds
    return TensorEntry.model_validate(
        {
            "name": first.name,
            "shape": shape,
            "dtype": first.dtype,
            "role": first.role,
            "domain": first.domain.kind,
            "low": low,
            "high": high,
        }
    )


class _Unruled:
    """A bound that follows no rule."""


def _bound(axes: Sequence[Sizes], values: Sequence[int | float | None]) -> Size | float | _Unruled | None:
    if len(set(values)) == 1:
        return values[0]
    whole = [value for value in values if isinstance(value, int)]
    rule = size_rule(axes, whole) if len(whole) == len(values) else None
    return _Unruled() if rule is None else rule


def size_rule(axes: Sequence[Sizes], values: Sequence[int]) -> Size | None:
    """Return the first rule that gives the values at all sizes."""
    if len(set(values)) == 1:
        return values[0]
    fitting = (
        rule for rule in _candidates(axes[0], values[0]) if [evaluate(rule, sizes) for sizes in axes] == list(values)
    )
    return next(fitting, None)


def _candidates(axes: Sizes, value: int) -> Iterator[str]:
    """Yield the rules that fit one set of sizes, simplest first."""
    for name, size in axes.items():
        yield name
        if size and value % size == 0:
            yield f"{value // size} * {name}"
        if value and size % value == 0:
            yield f"{name} // {size // value}"
        yield f"{name} + {value - size}" if value > size else f"{name} - {size - value}"
    for name in axes:
        for other in axes:
            yield f"{name} * {other}"
