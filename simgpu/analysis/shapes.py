"""What is known about a value across the lanes of a warp: a common base plus a constant pattern.

A value with a `Shape` is ``base + pattern[lane]`` in all 32 lanes, modulo two to its width. The base is one
number for the whole warp: known, or known only to be a multiple of `align`. Shapes choose cheap memory accesses
(one broadcast, one vector, a few words) instead of gathers, and give constant shuffle indices.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass

from simgpu.report import Dim3

WARP = 32
_ZEROS = (0,) * WARP
_ANY_ALIGN = 1 << 32
_SIGNED_LIMIT = 1 << 31


@dataclass(frozen=True, slots=True)
class Shape:
    """Base and pattern of a value; `base` is None when it is known only at run time.

    `wrapped` says that a narrower value was widened on the way, so the pattern holds only if
    no lane wrapped around; a use must then compare the last lane with the first.
    """

    base: int | None
    align: int = 1
    pattern: tuple[int, ...] = _ZEROS
    wrapped: bool = False

    @property
    def uniform(self) -> bool:
        """Whether all lanes hold one value."""
        return self.pattern == _ZEROS

    @property
    def constant(self) -> int | None:
        """The value, if it is one known number."""
        return self.base if self.pattern == _ZEROS else None


UNIFORM = Shape(None)


def known(value: int, pattern: tuple[int, ...] = _ZEROS) -> Shape:
    """Return the shape of a value that is wholly known."""
    return Shape(value, _alignment(value), pattern)


def join(first: Shape | None, second: Shape | None) -> Shape | None:
    """Return what holds of a register that may come from either definition."""
    if first is None or second is None or first.pattern != second.pattern:
        return None
    if first == second:
        return first
    base = first.base if first.base == second.base else None
    return Shape(base, min(first.align, second.align), first.pattern, first.wrapped or second.wrapped)


def thread_shape(axis: str, block: Dim3) -> Shape | None:
    """Return the shape of `%tid.<axis>` in a block of the given size; None if lanes follow no pattern."""
    width, height, depth = block
    if width * height * depth <= WARP:
        lanes = range(WARP)
        values = {
            "x": [lane % width for lane in lanes],
            "y": [lane // width % height for lane in lanes],
            "z": [lane // (width * height) for lane in lanes],
        }
        return known(0, tuple(values[axis]))
    if axis == "x":
        if height * depth == 1 or width % WARP == 0:
            return Shape(None, WARP, tuple(range(WARP)))
        return known(0, tuple(lane % width for lane in range(WARP))) if WARP % width == 0 else None
    if axis == "y":
        return _row_shape(width, height, depth)
    if depth == 1:
        return known(0)
    return UNIFORM if width * height % WARP == 0 else None


def _row_shape(width: int, height: int, depth: int) -> Shape | None:
    if height == 1:
        return known(0)
    if width % WARP == 0:
        return UNIFORM
    rows = WARP // width if WARP % width == 0 else 0
    if not rows:
        return None
    if height % rows == 0 or depth == 1:
        return Shape(None, rows, tuple(lane // width for lane in range(WARP)))
    return None


def add(first: Shape, second: Shape) -> Shape:
    """Shape of a sum."""
    base = None if first.base is None or second.base is None else first.base + second.base
    pattern = tuple(map(operator.add, first.pattern, second.pattern))
    align = min(first.align, second.align) if base is None else _alignment(base)
    return Shape(base, align, pattern, first.wrapped or second.wrapped)


def subtract(first: Shape, second: Shape) -> Shape:
    """Shape of a difference."""
    return add(first, _scaled(second, -1))


def multiply(first: Shape, second: Shape) -> Shape | None:
    """Shape of a product; None unless one factor is a known number or both are uniform."""
    if second.constant is not None:
        return _scaled(first, second.constant)
    if first.constant is not None:
        return _scaled(second, first.constant)
    if first.uniform and second.uniform:
        return Shape(None, min(first.align * second.align, _ANY_ALIGN))
    return None


def _scaled(shape: Shape, factor: int) -> Shape:
    base = None if shape.base is None else shape.base * factor
    align = min(shape.align * _alignment(factor), _ANY_ALIGN)
    return Shape(base, align, tuple(value * factor for value in shape.pattern), shape.wrapped)


def shift_right(shape: Shape, bits: int) -> Shape | None:
    """Shape of a right shift by a known number."""
    if not _decomposes(shape) or not 0 <= bits < WARP or shape.align % (1 << bits):
        return None
    if shape.base is None:
        return Shape(None, shape.align >> bits, tuple(value >> bits for value in shape.pattern))
    if not 0 <= shape.base < _SIGNED_LIMIT:
        return None
    return known(shape.base >> bits, tuple(value >> bits for value in shape.pattern))


def bitwise(first: Shape, second: Shape, apply: Callable[[int, int], int]) -> Shape | None:
    """Shape of `and`, `or` or `xor` with a known number.

    The base's low bits below its alignment are zero, so they and the pattern do not meet.
    """
    if second.constant is None:
        first, second = second, first
    mask = second.constant
    if mask is None or not _decomposes(first):
        return None
    pattern = tuple(apply(value, mask & first.align - 1) for value in first.pattern)
    high = mask & -first.align
    if first.base is not None:
        return Shape(apply(first.base, high), _alignment(apply(first.base, high)), pattern)
    if mask >= 0 and high == 0 and apply is operator.and_:
        return known(0, pattern)
    return Shape(None, first.align, pattern)


def _decomposes(shape: Shape) -> bool:
    """Whether base and pattern occupy separate bits."""
    return not shape.wrapped and min(shape.pattern) >= 0 and max(shape.pattern) < shape.align


def _alignment(value: int) -> int:
    return _ANY_ALIGN if value == 0 else min(value & -value, _ANY_ALIGN)
