"""The five kernels in Triton, with their launches; used by the simulator and by Triton's interpreter alike."""

# ruff: noqa: N803, PLR0917 - Triton kernels: constants in capitals, arguments by position

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import triton
import triton.language as tl


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


def launches(place: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, Callable[[], object]]:
    """Return a launch of each kernel by name; `place` puts a tensor where the kernel finds it."""
    torch.manual_seed(0)
    a, b, c = (place(torch.rand(1 << 22)) for _ in range(3))
    x, y = (place(torch.rand(256, 4096)) for _ in range(2))
    left, right, product = (place(torch.rand(512, 512)) for _ in range(3))
    total = place(torch.zeros(1))
    n = 1 << 22
    return {
        "vadd": partial(_vadd[(n // 1024,)], a, b, c, n, BLOCK=1024),
        "softmax": partial(_softmax[(256,)], x, y, 4096, BLOCK=4096),
        "sgemm": partial(_sgemm[(8, 8)], left, right, product, 512, TILE=64, DEPTH=16),
        "reduce": partial(_reduce[(n // 1024,)], a, total, n, BLOCK=1024),
        "transpose": partial(_transpose[(64, 64)], a, b, 2048, TILE=32),
    }
