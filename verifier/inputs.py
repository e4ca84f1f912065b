"""Inputs of many kinds, drawn within each tensor's domain from the secret seed.

A harness that draws only `torch.rand` sees no negative number, no overflow and no epsilon, so identity passes
for ReLU and a softmax without its subtraction passes for softmax. Each distribution below is there for faults that the
others let through; `Distribution` names them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import numpy as np

from sandbox.values import Tensor
from tasks.values import DomainKind, DType, InputSpec, Role
from verifier.domains import Flavour, draw_domain, formed
from verifier.seeds import stream
from verifier.tensors import Array, FloatArray, from_array


class Distribution(StrEnum):
    """Kinds of values for a real-valued input, each with the fault that it shows."""

    NORMAL = "normal"
    """Standard normal: the general case, both signs."""
    TRIPLED = "scale 3"
    """Normal times 3: saturated activations, peaked softmax."""
    SMALL = "scale 0.01"
    """Normal times 0.01: epsilons and additive constants dominate."""
    NEGATIVE = "negative"
    """Uniform in [-200, -100): a maximum that was started from 0 makes every exponential vanish."""
    UNIFORM = "uniform"
    """Uniform in [0, 1): one sign, so sums grow and nothing cancels."""
    SHIFTED = "shifted"
    """Normal plus 4: the mean matters, as in a variance taken about zero."""
    HEAVY_TAILED = "heavy tails"
    """Student's t with 3 degrees of freedom: few elements dominate sums and maxima."""
    IMPULSES = "impulses"
    """Zero but for the first and last elements and the edges of tiles: a wrong tail, halo or stride loses one."""
    CONSTANT = "constant"
    """One number in a whole tensor: variance zero, every maximum tied."""
    TIES = "ties"
    """Integers from -2 to 2: exact sums, equal keys, exact zeros."""
    PEAKS = "peaks"
    """Normal, and in each row one element of 1,000 to 2,000 that lies at an end or at a tile's edge: whoever leaves it
    out of a maximum sees `exp` overflow."""
    EXTREME = "extreme"
    """Normal times 1e12: beyond the integers of 32 bits, and squares and cubes still fit."""
    LARGE = "large"
    """Normal times 10,000: `exp` overflows without a subtraction of the maximum."""
    WIDE = "wide"
    """Normal times 100: as `large`, for references that do not survive that."""
    NOT_FINITE = "not finite"
    """Normal, and in each input one NaN and one infinity of either sign."""


FULL_SET: Final = (
    Distribution.NORMAL,
    Distribution.LARGE,
    Distribution.SMALL,
    Distribution.NEGATIVE,
    Distribution.IMPULSES,
    Distribution.TRIPLED,
    Distribution.SHIFTED,
    Distribution.HEAVY_TAILED,
    Distribution.CONSTANT,
    Distribution.TIES,
    Distribution.UNIFORM,
    Distribution.PEAKS,
    Distribution.EXTREME,
)
"""What one workload is checked with, most telling first; `wide` stands in where `large` overflows."""

ROTATION: Final = (
    (Distribution.NORMAL, Distribution.IMPULSES, Distribution.PEAKS),
    (Distribution.NORMAL, Distribution.SMALL, Distribution.HEAVY_TAILED),
    (Distribution.NORMAL, Distribution.NEGATIVE, Distribution.PEAKS),
    (Distribution.NORMAL, Distribution.LARGE, Distribution.CONSTANT),
    (Distribution.NORMAL, Distribution.PEAKS, Distribution.TIES),
)
"""What the other workloads are checked with, in turn: values times sizes would take minutes."""

_TILES: Final = (32, 64, 128, 256, 512, 1024)
"""Warp and usual block sizes; a tile's edges are the elements at a multiple and one before it."""

_NOT_FINITE: Final = (math.nan, math.inf, -math.inf)

_INTEGER_SPAN: Final = 100
"""Integers without a declared bound are drawn from [-100, 100], clipped to the type: sums stay exact."""


def draw_tensor(spec: InputSpec, distribution: Distribution, seed: int, workload: str) -> Tensor:
    """Return one tensor within the domain of `spec`, from a stream of its own.

    The distribution shapes real-valued inputs, and how evenly other domains are filled. Parameters and buffers are
    random in every draw, and never hold what a fresh module holds (ones, zeros), or a candidate that leaves them out
    would pass.
    """
    rng = stream(seed, "inputs", workload, distribution, spec.name)
    structured = draw_domain(rng, _FLAVOURS.get(distribution, Flavour.RANDOM), spec)
    if structured is not None:
        return from_array(structured, spec.dtype)
    if not spec.dtype.is_floating:
        return from_array(formed(spec, _integers(rng, spec)), spec.dtype)
    if spec.domain.kind is DomainKind.PROBABILITY:
        return from_array(rng.random(spec.shape), spec.dtype)
    values = _real(rng, distribution, spec.shape) if spec.role is Role.INPUT else _parameter(rng, spec.shape)
    if spec.domain.kind is DomainKind.POSITIVE:
        values = np.abs(values) + 2.0**-6
    values = formed(spec, _representable(values, spec.dtype))
    if distribution is Distribution.NOT_FINITE and spec.role is Role.INPUT and spec.domain.kind is DomainKind.REAL:
        values = _not_finite(rng, values)
    return from_array(values, spec.dtype)


def _not_finite(rng: np.random.Generator, values: Array) -> Array:
    flat = values.reshape(-1)
    places = rng.permutation(flat.size)[: len(_NOT_FINITE)]
    flat[places] = _NOT_FINITE[: len(places)]
    return flat.reshape(values.shape)


def _integers(rng: np.random.Generator, spec: InputSpec) -> Array:
    low = 0 if spec.dtype is DType.UINT8 or spec.domain.kind is DomainKind.POSITIVE else -_INTEGER_SPAN
    return rng.integers(low, _INTEGER_SPAN, spec.shape, endpoint=True)


def _parameter(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Scales and biases of size about 1, both signs; matrices scaled so that their products stay of size about 1.

    Larger products would saturate the activation behind them and hide it.
    """
    if len(shape) < 2:  # noqa: PLR2004 - a vector: scale, bias or statistic
        return _signed_units(rng, shape)
    fan_in = math.prod(shape[1:])
    return rng.standard_normal(shape) * (1.0 / math.sqrt(max(fan_in, 1)))


def _real(rng: np.random.Generator, distribution: Distribution, shape: tuple[int, ...]) -> FloatArray:
    shaped = _SHAPED.get(distribution)
    if shaped is not None:
        return shaped(rng, shape)
    return rng.standard_normal(shape) * _SCALES.get(distribution, 1.0)


def _edges(last: int) -> list[int]:
    """Return the first and the last index along an axis, then the edges of tiles."""
    edges = [0, last - 1] + [
        edge for tile in _TILES for start in range(tile, last, tile) for edge in (start - 1, start)
    ]
    return [edge for edge in dict.fromkeys(edges) if 0 <= edge < last]


def _peaks(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Draw normals, one of them large in each row; the rows take the edges in turn, from a random one on."""
    values = rng.standard_normal(shape)
    if not values.size or not shape:
        return values
    rows = values.reshape(-1, shape[-1])
    edges = np.asarray(_edges(shape[-1]))
    columns = edges[(np.arange(len(rows)) + int(rng.integers(len(edges)))) % len(edges)]
    rows[np.arange(len(rows)), columns] = 1000.0 * (1.0 + rng.random(len(rows)))
    return values


def _impulses(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Values of size about 1 at the edges of tiles along the last axis and at both ends of every other axis."""
    if not shape:
        return _signed_units(rng, shape)
    marked = np.zeros(shape, dtype=bool)
    marked[..., _edges(shape[-1])] = True
    for axis in range(len(shape) - 1):
        ends = np.moveaxis(marked, axis, 0)
        if len(ends):
            ends[0], ends[-1] = True, True
    return np.where(marked, _signed_units(rng, shape), 0.0)


def _signed_units(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Numbers of size 0.5 to 1.5, both signs: never near zero, so leaving one out always shows."""
    signs: FloatArray = rng.choice((-1.0, 1.0), shape)
    return signs * rng.uniform(0.5, 1.5, shape)


def _constant(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """One number of few bits, so that sums of it are exact in every type and order."""
    return np.full(shape, rng.choice((-2.0, -1.5, -0.75, 0.75, 1.5, 2.0)))


def _representable(values: FloatArray, dtype: DType) -> FloatArray:
    """Clip to what the type can hold with room for products: only float16 is that narrow."""
    return np.clip(values, -1e4, 1e4) if dtype is DType.FLOAT16 else values


_SHAPED: Final[dict[Distribution, Callable[[np.random.Generator, tuple[int, ...]], FloatArray]]] = {
    Distribution.NEGATIVE: lambda rng, shape: 100.0 * rng.random(shape) - 200.0,
    Distribution.UNIFORM: lambda rng, shape: rng.random(shape),
    Distribution.SHIFTED: lambda rng, shape: rng.standard_normal(shape) + 4.0,
    Distribution.HEAVY_TAILED: lambda rng, shape: rng.standard_t(3.0, shape),
    Distribution.IMPULSES: _impulses,
    Distribution.PEAKS: _peaks,
    Distribution.CONSTANT: _constant,
    Distribution.TIES: lambda rng, shape: rng.integers(-2, 3, shape).astype(np.float64),
}
"""Distributions that are not a scaled normal."""

_SCALES: Final = {
    Distribution.TRIPLED: 3.0,
    Distribution.SMALL: 0.01,
    Distribution.EXTREME: 1e12,
    Distribution.LARGE: 1e4,
    Distribution.WIDE: 100.0,
}
"""Factors of the scaled normals; 1 where none is given."""

_FLAVOURS: Final = {
    Distribution.CONSTANT: Flavour.EVEN,
    Distribution.TIES: Flavour.EVEN,
    Distribution.IMPULSES: Flavour.EXTREME,
    Distribution.PEAKS: Flavour.EXTREME,
    Distribution.EXTREME: Flavour.EXTREME,
}
"""What the kinds of real values amount to in domains with a structure; `random` where none is given."""
