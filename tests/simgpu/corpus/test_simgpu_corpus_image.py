"""Convolutions, pooling and stencils against numpy."""

import numpy as np
import pytest

from tests.simgpu.corpus.case import Case, Out, blocks, check, close, random

IMAGES, WEIGHTS, BIAS = random(1, 2, 3, 13, 19), random(2, 5, 3, 3, 3), random(3, 5)
HALF, HALF_WEIGHTS = random(4, 3, 11, 21, dtype=np.float16), random(5, 3, 3, 3, dtype=np.float16) / 4
SIGNAL = random(6, 509)
FILTER = np.array([0.05, 0.09, 0.12, 0.15, 0.18, 0.15, 0.12, 0.09, 0.05])
PLANE = random(7, 29, 37)
VOLUME = random(8, 7, 13, 17, dtype=np.float64)
RNG = np.random.default_rng(9)
GRAY = RNG.integers(0, 256, (23, 41)).astype(np.uint8)
DEEP = RNG.integers(0, 65536, (17, 29)).astype(np.uint16)
CELLS = RNG.integers(0, 2**32, (19, 3), dtype=np.uint32)
MODERN = ("sm_75", "sm_80", "sm_90")


def convolved(x, weights, bias, stride, pad):
    """Return a convolution through windows and one contraction."""
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::stride, ::stride]
    return np.einsum("nihwpq,oipq->nohw", windows, weights) + bias[:, None, None]


def depthwise():
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(HALF.astype(float), ((0, 0), (1, 1), (1, 1))), (3, 3), (1, 2)
    )
    return np.einsum("chwpq,cpq->chw", windows, HALF_WEIGHTS.astype(float))


def pooled():
    x = IMAGES.reshape(6, 13, 19)
    padded = np.pad(x, ((0, 0), (0, 2), (0, 2)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[:, :12:2, :18:2].reshape(6, 6, 9, 9)
    best = windows.argmax(3)
    rows, columns = np.mgrid[:6, :9] * 2
    return windows.max(3), ((rows + best // 3) * 19 + columns + best % 3).astype(np.int32)


def diffused():
    p = np.pad(PLANE.astype(float), 1, mode="edge")
    return PLANE + 0.2 * (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:] - 4 * PLANE)


def relaxed():
    v, out = VOLUME, np.full_like(VOLUME, 7)
    inner = v[:-2, 1:-1, 1:-1] + v[2:, 1:-1, 1:-1] + v[1:-1, :-2, 1:-1] + v[1:-1, 2:, 1:-1] + v[1:-1, 1:-1, :-2]
    out[1:-1, 1:-1, 1:-1] = (inner + v[1:-1, 1:-1, 2:]) / 6 - v[1:-1, 1:-1, 1:-1]
    return close(out, 1e-13, 1e-13, dtype=np.float64, initial=np.full_like(VOLUME, 7))


def edges():
    windows = np.lib.stride_tricks.sliding_window_view(GRAY.astype(int), (3, 3))
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    out = np.full(GRAY.shape, 9, np.uint8)
    strength = abs((windows * kernel).sum((2, 3))) + abs((windows * kernel.T).sum((2, 3)))
    out[1:-1, 1:-1] = np.minimum(strength, 255)
    return Out(out, initial=np.full_like(GRAY, 9))


def medians():
    shifted = [np.roll(DEEP, (p, q), (0, 1)) for p in (-1, 0, 1) for q in (-1, 0, 1)]
    return np.median(shifted, axis=0).astype(np.uint16)


def upsampled(oh, ow):
    height, width = PLANE.shape
    y, x = (np.maximum((np.arange(o) + 0.5) * size / o - 0.5, 0) for o, size in ((oh, height), (ow, width)))
    rows = [np.interp(x, np.arange(width), row) for row in PLANE.astype(float)]
    return np.array([np.interp(y, np.arange(height), column) for column in np.array(rows).T]).T


def next_generation():
    cells = np.unpackbits(CELLS.view(np.uint8), bitorder="little").reshape(19, 96).astype(int)
    around = sum(np.roll(cells, (p, q), (0, 1)) for p in (-1, 0, 1) for q in (-1, 0, 1)) - cells
    alive = (around == 3) | ((around == 2) & (cells == 1))
    return np.packbits(alive, bitorder="little").view(np.uint32).reshape(19, 3)


def sizes(*values):
    return tuple(np.int32(value) for value in values)


STRIDED = convolved(IMAGES, WEIGHTS, BIAS, 2, 1)
POOLED, PLACES = pooled()
SMOOTH = np.convolve(SIGNAL.astype(float), FILTER, "same")

CASES = (
    Case("conv2d_direct", (blocks(10, 8), blocks(7, 4), 10), (8, 4), (
        IMAGES, WEIGHTS, BIAS, close(STRIDED, 1e-4, 1e-5), *sizes(3, 13, 19, 5, 3, 2, 1, 7, 10)), archs=MODERN),
    Case("conv2d_implicit", (blocks(187, 16), 1), (16, 16), (
        IMAGES[0], WEIGHTS, close(convolved(IMAGES[:1], WEIGHTS, 0 * BIAS, 1, 0)[0], 1e-4, 1e-5), *sizes(3, 13, 19, 5)),
        seeds=(None, 1)),
    Case("depthwise_half", (2, 3, 3), (16, 4), (HALF, HALF_WEIGHTS, close(depthwise(), 1e-2, 5e-3, dtype=np.float16),
                                                *sizes(11, 21))),
    Case("conv1d_halo", (6,), (96,), (SIGNAL, close(SMOOTH, 1e-5, 1e-6), *sizes(509)), 4 * 104, seeds=(None, 1)),
    Case("max_pool", (2, 2, 6), (8, 4), (IMAGES, Out(POOLED), Out(PLACES), *sizes(13, 19, 6, 9))),
    Case("average_pool_all", (3,), (32, 2), (IMAGES, close(IMAGES.mean((2, 3)), 1e-5, 1e-6), *sizes(247))),
    Case("stencil_2d", (3, 4), (16, 8), (PLANE, close(diffused(), 1e-5, 1e-6), *sizes(29, 37), np.float32(0.2)),
         archs=MODERN, seeds=(None, 1)),
    Case("stencil_3d", (3, 2), (8, 8), (VOLUME, relaxed(), *sizes(17, 13, 7)), seeds=(None, 1)),
    Case("sobel", (3, 6), (16, 4), (GRAY, edges(), *sizes(23, 41))),
    Case("median_3x3", (2, 5), (16, 4), (DEEP, Out(medians()), *sizes(17, 29))),
    Case("upsample_bilinear", (5, 18), (16, 4), (PLANE, close(upsampled(71, 67), 1e-4, 1e-5), *sizes(29, 37, 71, 67))),
    Case("life", (1, 5), (4, 4), (CELLS, Out(next_generation()), *sizes(3, 19))),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_image_kernel(corpus, case):
    for arch in case.archs:
        for seed in case.seeds:
            check(case, corpus("image", arch), seed)
