"""Softmax and normalisation kernels against numpy."""

import numpy as np
import pytest

from tests.simgpu.corpus.case import Case, blocks, check, close, random

ROWS, WIDTH = 7, 203
X = random(1, ROWS, WIDTH) * 3
WIDE = X.astype(np.float64)
R, W = np.int32(ROWS), np.int32(WIDTH)
HALF = random(2, ROWS, 202, dtype=np.float16)
WEIGHT, BIAS = random(3, WIDTH), random(4, WIDTH)
PACKED, PACK_WEIGHT = random(5, ROWS, 172), random(6, 172)
HALF_WEIGHT = random(7, 202, dtype=np.float16)
IMAGES = random(8, 2, 6, 35)
CHANNELS = random(9, 3, 8, 77)
DY = random(10, ROWS, WIDTH)
DOUBLES = random(11, ROWS, 131, dtype=np.float64)
MODERN = ("sm_75", "sm_80", "sm_90")


def softmax(x):
    e = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def normalised(x, epsilon=1e-5):
    wide = x.astype(np.float64)
    return (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + epsilon)


def backward():
    """Gradient of the normalisation by the chain rule through mean and variance."""
    rstd = 1 / np.sqrt(WIDE.var(1, keepdims=True) + 1e-5)
    hat = (WIDE - WIDE.mean(1, keepdims=True)) * rstd
    g = DY * WEIGHT.astype(np.float64)
    return rstd * (g - g.mean(1, keepdims=True) - hat * (g * hat).mean(1, keepdims=True)), (DY * hat).sum(0)


MEAN, RSTD = WIDE.mean(1).astype(np.float32), (1 / np.sqrt(WIDE.var(1) + 1e-5)).astype(np.float32)
DX, DWEIGHT = backward()
ZEROS = np.zeros(WIDTH, np.float32)
GROUPS = normalised(IMAGES.reshape(4, -1)).reshape(IMAGES.shape)
RMS = HALF / np.sqrt((HALF.astype(float) ** 2).mean(1, keepdims=True) + 1e-3) * HALF_WEIGHT
SCALE = np.array([1, 0.5, -2, 3, 0.25, -1, 4, 7])[:, None]
SHIFT = np.where(np.arange(8) % 2, 1, -1)[:, None]

CASES = (
    Case("softmax_naive", (1,), (32,), (X, close(softmax(X), 1e-5), R, W)),
    Case("softmax_safe", (ROWS,), (128,), (X, close(softmax(X), 1e-5), W), archs=MODERN, seeds=(None, 3)),
    Case("softmax_online", (2,), (32, 4), (X, close(softmax(X), 1e-5), R, W), seeds=(None, 3)),
    Case("softmax_half", (ROWS,), (64,), (HALF, close(softmax(HALF), 2e-3, 1e-6, dtype=np.float16), np.int32(101))),
    Case("log_softmax_registers", (2,), (128,), (X, close(np.log(softmax(X)), 1e-5, 1e-5), R, W)),
    Case("layernorm_block", (ROWS,), (96,), (X, WEIGHT, BIAS, close(normalised(X) * WEIGHT + BIAS, 1e-4, 1e-5),
                                             close(MEAN, 1e-4, 1e-6), close(RSTD, 1e-5), W), archs=MODERN),
    Case("layernorm_packs", (ROWS,), (32,), (PACKED, PACK_WEIGHT, close(normalised(PACKED) * PACK_WEIGHT, 1e-4, 1e-5),
                                             np.int32(43)), 43 * 16),
    Case("rmsnorm_half", (ROWS,), (160,), (HALF, HALF_WEIGHT, close(RMS, 2e-3, 1e-6, dtype=np.float16), np.int32(202),
                                           np.float32(1e-3))),
    Case("layernorm_backward", (ROWS,), (64,), (
        DY, X, WEIGHT, MEAN, RSTD, close(DX, 1e-3, 1e-5), close(DWEIGHT, 1e-4, 1e-5, initial=ZEROS),
        close(DY.sum(0), 1e-4, 1e-5, initial=ZEROS), W), seeds=(None, 3)),
    Case("group_norm", (2, 2), (64,), (IMAGES, close(GROUPS, 1e-4, 1e-5), np.int32(6), np.int32(3), np.int32(35))),
    Case("batch_norm_inference", (blocks(77, 64), 8, 3), (64,), (CHANNELS, close(CHANNELS * SCALE + SHIFT, 1e-5, 1e-6),
                                                                 np.int32(77))),
    Case("unit_rows", (ROWS,), (64,), (
        DOUBLES, close(DOUBLES / np.linalg.norm(DOUBLES, axis=1, keepdims=True), 1e-13, dtype=np.float64), np.int32(131))),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_normalization(corpus, case):
    for arch in case.archs:
        for seed in case.seeds:
            check(case, corpus("normalization", arch), seed)
