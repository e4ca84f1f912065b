"""Values of the domains that have a structure: counted things, bounded numbers, and matrices and rows of a form."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

import numpy as np

from tasks.values import DomainKind, DType, InputSpec
from verifier.tensors import Array, FloatArray

_DIAGONAL = 0.5
"""Least eigenvalue of a positive definite matrix, in units of its entries' size: no honest solver loses its digits."""


class Flavour(StrEnum):
    """How evenly values spread over a domain, each with the fault that it shows."""

    RANDOM = "random"
    """Uniform over the domain: the general case."""
    EVEN = "even"
    """All alike, segments of one length: ties, and the balance that a kernel may count on."""
    EXTREME = "extreme"
    """The ends of the domain alone, all of the work in one segment: rows that are empty, and one that is long."""


def draw_domain(rng: np.random.Generator, flavour: Flavour, spec: InputSpec) -> Array | None:
    """Return values within the domain of `spec`, None where it allows any real number but for its form."""
    kind = spec.domain.kind
    if kind is DomainKind.SORTED and spec.domain.high is not None:
        return np.sort(_indices(rng, flavour, spec), axis=-1)
    if kind in _DRAWN:
        return _DRAWN[kind](rng, flavour, spec)
    return _mask(rng, flavour, spec) if spec.dtype is DType.BOOL else None


def formed(spec: InputSpec, values: Array) -> Array:
    """Bring values into the form of the domain: sorted rows, symmetric or positive definite matrices."""
    match spec.domain.kind:
        case DomainKind.SORTED:
            return np.sort(values, axis=-1)
        case DomainKind.SYMMETRIC:
            return (values + np.swapaxes(values, -1, -2)) / 2
        case DomainKind.POSITIVE_DEFINITE:
            return _positive_definite(values)
        case _:
            return values


def _mask(rng: np.random.Generator, _: Flavour, spec: InputSpec) -> Array:
    return rng.integers(0, 2, spec.shape)


def _causal(_rng: np.random.Generator, _: Flavour, spec: InputSpec) -> Array:
    rows, columns = spec.shape[-2:]
    return np.broadcast_to(np.tri(rows, columns, columns - rows), spec.shape)


def _permutation(rng: np.random.Generator, _: Flavour, spec: InputSpec) -> Array:
    keys = rng.random((*spec.shape[:-1], spec.domain.end))
    return np.argsort(keys, axis=-1)[..., : spec.shape[-1]]


def _indices(rng: np.random.Generator, _: Flavour, spec: InputSpec) -> Array:
    high = spec.domain.end or 1
    return _with_ends(rng.integers(0, high, spec.shape), high - 1, 0)


def _lengths(rng: np.random.Generator, flavour: Flavour, spec: InputSpec) -> Array:
    low, high = int(spec.domain.low or 0), spec.domain.end
    if flavour is Flavour.EVEN:
        return np.full(spec.shape, high)
    if flavour is Flavour.EXTREME:
        return rng.choice((low, high), spec.shape)
    return _with_ends(rng.integers(low, high, spec.shape, endpoint=True), high, low)


def _with_ends(values: Array, first: int, last: int) -> Array:
    """Put both ends of a range into a tensor that has room for them."""
    if values.size >= 2:  # noqa: PLR2004 - an element each
        flat = values.reshape(-1)
        flat[0], flat[-1] = first, last
    return values


def _offsets(rng: np.random.Generator, flavour: Flavour, spec: InputSpec) -> Array:
    """Cut [0, high] into segments: at random places (some empty), evenly, or all in one of them."""
    shape, high = spec.shape, spec.domain.end
    last = shape[-1] - 1
    if flavour is Flavour.EVEN:
        cuts: Array = np.broadcast_to(np.arange(last + 1) * high // max(last, 1), shape).copy()
    elif flavour is Flavour.EXTREME:
        full = rng.integers(0, max(last, 1), (*shape[:-1], 1))
        cuts = np.where(np.arange(last + 1) > full, high, 0)
    else:
        cuts = np.sort(rng.integers(0, high, shape, endpoint=True), axis=-1)
    if last >= 0:
        cuts[..., -1], cuts[..., 0] = high, 0
    return cuts


def _bounded(rng: np.random.Generator, flavour: Flavour, spec: InputSpec) -> Array:
    low, high = spec.domain.low or 0, spec.domain.high or 0
    if flavour is Flavour.EXTREME:
        return rng.choice((low, high), spec.shape)
    shape = () if flavour is Flavour.EVEN else spec.shape
    if spec.dtype.is_floating:
        return np.broadcast_to(rng.uniform(low, high, shape), spec.shape)
    return np.broadcast_to(rng.integers(int(low), int(high), shape, endpoint=True), spec.shape)


def _simplex(rng: np.random.Generator, flavour: Flavour, spec: InputSpec) -> Array:
    if flavour is Flavour.EVEN:
        return np.full(spec.shape, 1.0 / max(spec.shape[-1], 1))
    weights = rng.exponential(size=spec.shape) ** (8.0 if flavour is Flavour.EXTREME else 1.0) + 2.0**-20
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


_DRAWN: Final[dict[DomainKind, Callable[[np.random.Generator, Flavour, InputSpec], Array]]] = {
    DomainKind.MASK: _mask,
    DomainKind.CAUSAL: _causal,
    DomainKind.INDEX: _indices,
    DomainKind.PERMUTATION: _permutation,
    DomainKind.LENGTHS: _lengths,
    DomainKind.OFFSETS: _offsets,
    DomainKind.BOUNDED: _bounded,
    DomainKind.SIMPLEX: _simplex,
}


def _positive_definite(values: Array) -> FloatArray:
    """Return G Gᵀ / n plus a diagonal, of the size of the values."""
    size = float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
    root = values / (size or 1.0)
    order = values.shape[-1]
    product = root @ np.swapaxes(root, -1, -2) / max(order, 1)
    return np.asarray((size or 1.0) * (product + _DIAGONAL * np.eye(order)), dtype=np.float64)
