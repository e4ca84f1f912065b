"""How far a result may lie from the oracle, calibrated for each output of each draw.

The measure is one *unit of honest noise* at each element,

    unit[i] = 2 u |oracle[i]| + floor,

where `u` is the unit roundoff of the output's type and `floor` is the largest error, beyond that relative
part, of three honest computations: the reference in its native precision, the float64 reference on inputs
moved to a neighbouring number of their type (what a backward-stable algorithm may amount to), and the reference with
`expm1(x)` written `exp(x) - 1` and the like (`tasks/reference/textbook.py`). The first knows the op's own cancellations
(1 + tanh x near -1), the second the conditioning of this draw (a row of variance 0), the third those that only the
function's usual formula has.

An output passes when its error stays below `factor` units. The factor is the geometric middle between
honest (1) and the error of the next lower precision in the same units, so that both have the same room on a
logarithmic scale:

    factor = clip(sqrt(max_i |lower[i] - oracle[i]| / unit[i]), FEWEST_UNITS, MOST_UNITS)

For sums of float32 the middle lies at 130 to 180 units: a bfloat16 run is off by 16,000 to 32,000 units, TF32
inputs of both signs by 2,000, and one long chain of 16,384 additions by 20 to 35. `docs/verification.md` derives
each constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from sandbox.values import Tensor
from tasks.values import DType, Tolerance
from verifier.properties import Lawful, fault
from verifier.tensors import LOWER_ROUNDOFF, SMALLEST_NORMAL, UNIT_ROUNDOFF, FloatArray, rounded, storage, to_float64

FEWEST_UNITS: Final = 8.0
"""Room for honest code where the lower precision is exact as well (constants, small integers): a few roundings more
than the reference's, and `__expf` or `rsqrtf` at 2 units in the last place each."""

FEWEST_UNITS_16_BIT: Final = 3.0
"""16-bit results: one rounding of the result is half a unit, all else happens in float32. Sums kept in 16 bits take
dozens, so more room would let them pass."""

MOST_UNITS: Final = 256.0
"""A float64 task's middle lies at 16,000 units, far beyond anything honest: one chain of
131,072 additions is off by 120."""

LARGEST_SHARE: Final = 2.0**-6
"""The absolute room never exceeds this share of the output's root mean square. A draw whose honest noise alone
needs more cannot tell right from wrong and is left out."""

LEAST_DISTANCE: Final = 64.0
"""Textbook formulas are given room only so far that the next lower precision stays this many units of noise away: where
results are tiny, `exp(x) - 1` may lose as much as that does."""

MATCHED_SHARE: Final = 0.999
"""Elements that must lie within the bound; one in a thousand may be an outlier of honest noise ..."""

HARD_CAP: Final = 4.0
"""... but none by more than this factor; a wrong element is off by hundreds."""

FLOAT32_FLOOR: Final = 2.0**-18
"""16-bit results: cancellation in float32 sums leaves about 64 float32 roundings of a typical element."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one floating-point output must be: oracle, type, and the admissible error of each element."""

    dtype: DType
    oracle: FloatArray
    limit: FloatArray
    factor: float
    """Limit in units of honest noise; 0 when the task states its own tolerance."""
    matched_share: float = MATCHED_SHARE
    hard_cap: float = HARD_CAP


@dataclass(frozen=True, slots=True)
class Exact:
    """What an integer or boolean output must be, element for element."""

    dtype: DType
    expected: npt.NDArray[np.int64]


Expectation = Bounds | Exact | Lawful


@dataclass(frozen=True, slots=True)
class Unsuitable:
    """A draw that cannot tell right from wrong, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Spread:
    """What is known of one output of one draw."""

    oracle: Tensor
    """The float64 reference."""
    native: Tensor
    """The reference as the task states it; its type is the one that candidates must return."""
    lower: Tensor
    """The reference in the next lower precision."""
    nearby: Tensor
    """The float64 reference on inputs moved to a neighbouring number."""
    textbook: Tensor
    """The reference as the task states it, with `expm1`, `log1p`, `tanh` and their kin by their usual formulas."""
    terms: float = 0.0
    """The size of what cancels in an output that is zero in all of these runs; 0 for any other."""


def calibrate(spread: Spread, override: Tolerance | None = None) -> Expectation | Unsuitable:
    """Return what a candidate's output must satisfy, or why this draw is of no use.

    Parameters
    ----------
    spread
        Four runs of the reference on the same draw.
    override
        The task's own tolerance; it replaces the calibrated limit and allows no outliers.
    """
    dtype = spread.native.dtype
    if not dtype.is_floating:
        return _exact(spread)
    oracle = to_float64(spread.oracle)
    native = to_float64(spread.native)
    if not np.array_equal(_classes(rounded(oracle, dtype)), _classes(native)):
        return Unsuitable("the reference itself gives NaN or infinity where float64 does not")
    finite = np.isfinite(oracle) & np.isfinite(native)
    if oracle.size and not finite.any():
        return Unsuitable("no element of the result is finite")
    if override is not None:
        limit = override.atol + override.rtol * np.abs(np.where(finite, oracle, 0.0))
        return Bounds(dtype=dtype, oracle=oracle, limit=limit, factor=0.0, matched_share=1.0, hard_cap=1.0)
    return _calibrated(spread, oracle, native, finite)


def _calibrated(
    spread: Spread, oracle: FloatArray, native: FloatArray, finite: npt.NDArray[np.bool_]
) -> Bounds | Unsuitable:
    dtype = spread.native.dtype
    sixteen_bit = dtype.itemsize == 2  # noqa: PLR2004 - bytes
    fewest = FEWEST_UNITS_16_BIT if sixteen_bit else FEWEST_UNITS
    if spread.terms:
        return _cancelled(dtype, oracle, spread.terms, fewest)
    size = np.abs(np.where(finite, oracle, 0.0))
    relative = 2.0 * UNIT_ROUNDOFF[dtype] * size
    noise = np.maximum(_error(native, oracle, finite), _error(to_float64(spread.nearby), oracle, finite))
    scale = float(np.sqrt(np.mean(size[finite] ** 2))) if finite.any() else 0.0
    floor = float(np.max(noise - relative, initial=0.0))
    lower = _error(to_float64(spread.lower), oracle, finite)
    textbook = to_float64(spread.textbook)
    # A formula may overflow where the function does not.
    written = _error(textbook, oracle, finite & np.isfinite(textbook)) - relative
    apart = float(np.max(lower, initial=0.0)) / LEAST_DISTANCE
    floor = max(floor, min(float(np.max(written, initial=0.0)), apart))
    if sixteen_bit:
        floor = max(floor, FLOAT32_FLOOR * scale)
    if fewest * floor > LARGEST_SHARE * scale:
        return Unsuitable(f"honest noise of {floor:.1e} against a typical result of {scale:.1e}")
    unit = relative + floor + SMALLEST_NORMAL[dtype]
    distance = float(np.max(lower / unit, initial=0.0))
    factor = float(np.clip(np.sqrt(distance), fewest, MOST_UNITS))
    limit = np.minimum(factor * floor, LARGEST_SHARE * scale) + factor * (relative + SMALLEST_NORMAL[dtype])
    return Bounds(dtype=dtype, oracle=oracle, limit=limit, factor=factor)


def _cancelled(dtype: DType, oracle: FloatArray, terms: float, fewest: float) -> Bounds:
    """Judge zeros as a number of the size of their terms is judged; the next lower precision lies a rounding away."""
    factor = float(np.clip(np.sqrt(LOWER_ROUNDOFF[dtype] / UNIT_ROUNDOFF[dtype]), fewest, MOST_UNITS))
    room = factor * (2.0 * UNIT_ROUNDOFF[dtype] * terms + SMALLEST_NORMAL[dtype])
    return Bounds(dtype=dtype, oracle=oracle, limit=np.full(oracle.shape, room), factor=factor)


def _exact(spread: Spread) -> Exact | Unsuitable:
    expected = storage(spread.oracle).astype(np.int64)
    if not np.array_equal(expected, storage(spread.native).astype(np.int64)):
        return Unsuitable("the reference itself gives other integers than in float64")
    return Exact(dtype=spread.native.dtype, expected=expected)


def _error(values: FloatArray, oracle: FloatArray, finite: npt.NDArray[np.bool_]) -> FloatArray:
    """Absolute error where the oracle is finite, 0 elsewhere; an unexpected NaN counts as infinitely wrong."""
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(values - oracle)
    return np.where(finite, np.where(np.isnan(error), np.inf, error), 0.0)


def _classes(values: FloatArray) -> npt.NDArray[np.int8]:
    """0 for finite numbers, 1 and -1 for the infinities, 2 for NaN."""
    signs = np.where(np.isinf(values), np.sign(values), 0.0)
    return np.where(np.isnan(values), 2, signs).astype(np.int8)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One output against its expectation."""

    passed: bool
    detail: str
    """Figures and the worst element."""
    worst: float
    """Largest error over its limit; infinite for a misplaced NaN or infinity."""


def compare(output: Tensor, expectation: Expectation, outputs: Sequence[Tensor] = ()) -> Comparison:
    """Judge one output of the right type and sizes; `outputs` are all of the same call, for what holds between them."""
    if isinstance(expectation, Lawful):
        found = fault(expectation, output, outputs)
        held = ", ".join(stated.kind for stated in expectation.properties)
        return Comparison(passed=not found, detail=found or f"holds: {held}", worst=float("inf") if found else 0.0)
    if isinstance(expectation, Exact):
        return _compare_exact(output, expectation)
    values = to_float64(output)
    if not values.size:
        return Comparison(passed=True, detail="empty", worst=0.0)
    expected = rounded(expectation.oracle, expectation.dtype)
    misplaced = _classes(values) != _classes(expected)
    error = _error(values, expectation.oracle, np.isfinite(expected))
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = np.where(error > 0, error / expectation.limit, 0.0)
    excess = np.where(misplaced, np.inf, excess)
    worst = float(np.max(excess))
    matched = float(np.mean(excess <= 1.0))
    passed = worst <= expectation.hard_cap and matched >= expectation.matched_share
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(excess)), excess.shape))
    detail = (
        f"{matched:.4%} within the limit; worst at {place}: got {values[place]:.9g}, "
        f"expected {expected[place]:.9g}, {worst:.3g} times the limit"
    )
    return Comparison(passed=passed, detail=detail, worst=worst)


def _compare_exact(output: Tensor, expectation: Exact) -> Comparison:
    values = storage(output).astype(np.int64)
    wrong = values != expectation.expected
    count = int(np.count_nonzero(wrong))
    if not count:
        return Comparison(passed=True, detail="every element equal", worst=0.0)
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
    got, expected = int(values[place]), int(expectation.expected[place])
    detail = f"{count} of {values.size} elements differ; first at {place}: got {got}, expected {expected}"
    return Comparison(passed=False, detail=detail, worst=float("inf"))
