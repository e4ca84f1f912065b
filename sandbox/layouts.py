"""Where the elements of a tensor lie in memory: what PyTorch's views do to sizes, as strides and an offset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import prod

_GAP = 3
"""Elements between the rows of a slice: odd, so that no vector of elements stays aligned from row to row."""
_EVERY = 2


class Layout(StrEnum):
    """How the elements of one tensor lie in memory; the values are the same in all of them."""

    DENSE = "dense"
    """Row-major without gaps, aligned as an allocator aligns it."""
    OFFSET = "offset by one element"
    """Dense, and begins one element behind an aligned address: `flat[1:].view(shape)`."""
    TRANSPOSED = "transposed"
    """The last two axes are swapped in memory: `x.mT`."""
    SLICED = "sliced"
    """Rows without gaps that lie further apart: `wide[..., :columns]`."""
    STRIDED = "strided"
    """Every second element of a dense tensor: `wide[..., ::2]`."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A tensor's place in a buffer of its own; figures in elements."""

    strides: tuple[int, ...]
    """Steps from one index to the next, along each axis."""
    offset: int
    """Where the first element lies."""
    elements: int
    """Size of the buffer: it ends with the last element."""


def dense_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the strides of a row-major tensor, in elements."""
    strides = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def extent(shape: Sequence[int], strides: Sequence[int]) -> int:
    """Return the elements from the first to the last, both included."""
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True)) if prod(shape) else 0


def place(shape: Sequence[int], layout: Layout) -> Placement:
    """Return where a tensor's elements lie in a layout; an empty tensor is dense in each."""
    if prod(shape) == 0:
        return Placement(dense_strides(shape), 0, 0)
    strides = _strides(tuple(shape), layout)
    offset = int(layout is Layout.OFFSET)
    return Placement(strides, offset, offset + extent(shape, strides))


def differs(shape: Sequence[int], layout: Layout) -> bool:
    """Whether a layout places a tensor otherwise than a dense one: sizes of 1 have strides that nobody uses."""
    placed = place(shape, layout)
    steps = zip(shape, placed.strides, dense_strides(shape), strict=True)
    return placed.offset != 0 or any(size > 1 and stride != dense for size, stride, dense in steps)


def _strides(shape: tuple[int, ...], layout: Layout) -> tuple[int, ...]:
    if not shape:
        return ()
    match layout:
        case Layout.TRANSPOSED if len(shape) > 1:
            strides = dense_strides((*shape[:-2], shape[-1], shape[-2]))
            return (*strides[:-2], strides[-1], strides[-2])
        case Layout.SLICED:
            return dense_strides((*shape[:-1], shape[-1] + _GAP))
        case Layout.STRIDED:
            return tuple(_EVERY * stride for stride in dense_strides(shape))
        case _:
            return dense_strides(shape)
