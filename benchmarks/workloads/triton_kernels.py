"""The five kernels in Triton, with their launches; used by the simulator and by Triton's interpreter alike."""

# ruff: noqa: N803, PLR0917 - Triton kernels: constants in capitals, arguments by position

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import triton
import triton.language as tl
from inputs import Sizes, arrays


@triton.jit
def _vadd(a, b, c, n, BLOCK: tl.constexpr):  # noqa: ANN001, ANN202 - Triton reads no annotations but constexpr
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = index < n
    tl.store(c + index, tl.load(a + index, mask=inside) + tl.load(b + index, mask=inside), mask=inside)


@triton.jit
def _softmax(x, y, columns, BLOCK: tl.constexpr):  # noqa: ANN001, ANN202 - as above
    row, index = tl.program_id(0), tl.arange(0, BLOCK)
    values = tl.load(x + row * columns + index, mask=index < columns, other=-float("inf"))
    weights = tl.exp(values - tl.max(values, axis=0))
    tl.store(y + row * columns + index, weights / tl.sum(weights, axis=0), mask=index < columns)


@triton.jit
def _sgemm(a, b, c, n, TILE: tl.constexpr, DEPTH: tl.constexpr):  # noqa: ANN001, ANN202 - as above
    row = tl.program_id(0) * TILE + tl.arange(0, TILE)
    column = tl.program_id(1) * TILE + tl.arange(0, TILE)
    depth = tl.arange(0, DEPTH)
    sums = tl.zeros((TILE, TILE), tl.float32)
    for k in range(0, n, DEPTH):
        left = tl.load(a + row[:, None] * n + (k + depth)[None, :])
        right = tl.load(b + (k + depth)[:, None] * n + column[None, :])
        sums = tl.dot(left, right, sums, input_precision="ieee")
    tl.store(c + row[:, None] * n + column[None, :], sums)


@triton.jit
def _reduce(x, total, n, BLOCK: tl.constexpr):  # noqa: ANN001, ANN202 - as above
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.atomic_add(total, tl.sum(tl.load(x + index, mask=index < n, other=0.0), axis=0))


@triton.jit
def _transpose(x, y, n, TILE: tl.constexpr):  # noqa: ANN001, ANN202 - as above
    row = tl.program_id(0) * TILE + tl.arange(0, TILE)
    column = tl.program_id(1) * TILE + tl.arange(0, TILE)
    tl.store(y + column[None, :] * n + row[:, None], tl.load(x + row[:, None] * n + column[None, :]))


@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel with its arguments, and the tensor that it writes."""

    run: Callable[[], object]
    output: torch.Tensor


def launches(place: Callable[[torch.Tensor], torch.Tensor], sizes: Sizes) -> dict[str, Launch]:
    """Return a launch of each kernel by name; `place` puts a tensor where the kernel finds it.

    `sgemm32` is the product in tiles of 32 by 32 by 32, which was tried first and is slower here.
    """
    at = {name: place(torch.from_numpy(array.copy())) for name, array in arrays(sizes).items()}
    n, size, tiles = sizes.elements, sizes.product, sizes.side // 32
    product = partial(_sgemm[(size // 64, size // 64)], at["l"], at["r"], at["p"], size, TILE=64, DEPTH=16)
    small = partial(_sgemm[(size // 32, size // 32)], at["l"], at["r"], at["p"], size, TILE=32, DEPTH=32)
    rows = partial(_softmax[(sizes.rows,)], at["x"], at["y"], sizes.columns, BLOCK=sizes.columns)
    return {
        "vadd": Launch(partial(_vadd[(n // 1024,)], at["a"], at["q"], at["c"], n, BLOCK=1024), at["c"]),
        "softmax": Launch(rows, at["y"]),
        "sgemm": Launch(product, at["p"]),
        "reduce": Launch(partial(_reduce[(n // 1024,)], at["a"], at["t"], n, BLOCK=1024), at["t"]),
        "transpose": Launch(partial(_transpose[(tiles, tiles)], at["a"], at["b"], sizes.side, TILE=32), at["b"]),
        "sgemm32": Launch(small, at["p"]),
    }
