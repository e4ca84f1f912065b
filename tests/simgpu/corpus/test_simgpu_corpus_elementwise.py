"""Elementwise kernels against numpy."""

import math

import numpy as np
import pytest

from tests.simgpu.corpus.case import Case, Out, blocks, check, close, from_bf16, random, to_bf16

N = 1009
X, Y = random(1, N), random(2, N)
WIDE = X.astype(np.float64)
HALF = random(3, 1010, dtype=np.float16)
BF_A, BF_B = to_bf16(random(4, 1010)), to_bf16(random(5, 1010))
COMPLEX_A, COMPLEX_B = (random(seed, 2 * N).view(np.complex64) for seed in (6, 7))
PIXELS = np.random.default_rng(8).integers(0, 256, (13, 37, 4), dtype=np.uint8)
MODERN = ("sm_75", "sm_80", "sm_90")
ERF = np.vectorize(math.erf)


def over(kernel, *arguments, count=N, block=128, **options):
    """Return a case with one thread for each element; the count goes last."""
    return Case(kernel, (blocks(count, block),), (block,), (*arguments, np.int32(count)), **options)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rotated():
    q = random(9, N, 4)
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    v = random(10, N, 3)
    x, y, z, w = q.astype(np.float64).T
    matrix = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    return q, v, np.einsum("ijn,nj->ni", matrix, v).astype(np.float32)


def gray():
    r, g, b = (PIXELS[..., k].astype(int) for k in range(3))
    return ((r * 77 + g * 150 + b * 29 + 128) >> 8).astype(np.uint8)


def math_single():
    x = WIDE
    return (
        np.sin(x) + np.cos(3 * X).astype(np.float64) * np.arctan2(x, 2) + np.cbrt(x) + 1 / np.sqrt(1 + x * x)
        + np.hypot(x, 3) + np.abs(x) ** 0.3 + np.fmod(X, np.float32(0.7)) + np.log10(1 + np.abs(x)) + np.exp2(x)
        + np.floor(x) + np.rint(x) + np.arccos(x * 0.1)
    ).astype(np.float32)  # fmt: skip


def toward_zero(wide):
    """Round float32 to half toward zero."""
    near = wide.astype(np.float16)
    over_shot = np.abs(near.astype(np.float32)) > np.abs(wide)
    return np.where(over_shot, np.nextafter(near, np.float16(0)), near)


QUATERNIONS, VECTORS, ROTATED = rotated()
DOUBLES = random(11, 257, dtype=np.float64)
BYTES = np.clip(np.rint(X / np.float32(0.03)), -127, 127).astype(np.int8)
ALL_HALVES = np.random.default_rng(12).choice(2**16, 4001, replace=False).astype(np.uint16)
ALL_HALVES = ALL_HALVES[(ALL_HALVES & 0x7FFF) < 0x7B00]
WIDENED = ALL_HALVES.view(np.float16).astype(np.float32)
G, U = from_bf16(BF_A).astype(np.float64), from_bf16(BF_B)

CASES = (
    over("relu", X, Out(np.maximum(X, 0)), archs=MODERN),
    over("add_packs", X, Y, Out(X + Y), archs=MODERN),
    over("gelu_tanh", X, close(0.5 * WIDE * (1 + np.tanh(0.7978845608 * (WIDE + 0.044715 * WIDE**3))), 2e-6, 1e-6)),
    over("gelu_erf", X, close(0.5 * WIDE * (1 + ERF(WIDE / math.sqrt(2))), 2e-6, 1e-6)),
    Case("swish", (8,), (128,), (X, close(WIDE * sigmoid(1.5 * WIDE), 2e-6, 1e-6), np.int32(N), np.float32(1.5))),
    over("sigmoid_pairs", HALF, close(sigmoid(HALF.astype(float)), 2e-3, dtype=np.float16), count=505, archs=MODERN),
    Case("elu", (8,), (128,), (X, close(np.where(X > 0, X, 0.7 * np.expm1(WIDE)), 1e-6), np.int32(N), np.float32(0.7))),
    over("hardswish_half", HALF, close(HALF * np.clip(HALF + 3.0, 0, 6) / 6, 4e-3, 1e-3, dtype=np.float16), count=1010),
    over("add_bf16", BF_A, BF_B, Out(to_bf16(from_bf16(BF_A) + from_bf16(BF_B))), count=505, archs=("sm_80", "sm_90")),
    Case("scale_eight_halves", (1,), (256,), (HALF[:1008], Out((HALF[:1008] * np.float32(1.7)).astype(np.float16)),
                                              np.float32(1.7), np.int32(1008))),
    over("mish", X, close(WIDE * np.tanh(np.log1p(np.exp(WIDE))), 2e-6, 1e-6)),
    Case("saxpy", (3,), (96,), (np.float32(2.5), X, close(2.5 * WIDE + Y, 1e-6, 1e-6, initial=Y), np.int32(N)), archs=MODERN),
    over("complex_multiply", COMPLEX_A, COMPLEX_B, Out(COMPLEX_A * COMPLEX_B, 1e-5, 1e-6)),
    over("quaternion_rotate", QUATERNIONS, VECTORS, Out(ROTATED, 1e-5, 1e-5)),
    Case("gray_pixels", (3, 4), (16, 4), (PIXELS, Out(gray()), np.int32(37), np.int32(13))),
    over("math_double", DOUBLES, Out(
        np.exp(-(DOUBLES**2)) * np.sin(DOUBLES) + np.sqrt(np.abs(DOUBLES)) / (1 + np.log(1 + DOUBLES**2))
        + np.abs(DOUBLES) ** 1.5, 1e-13), count=257),
    over("math_single", X, Out(math_single(), 3e-6, 3e-6)),
    Case("quantize_bytes", (8,), (128,), (X, Out(BYTES), np.float32(0.03), np.int32(N))),
    over("swiglu", BF_A, BF_B, Out(to_bf16(G * sigmoid(G) * U)), count=1010),
    over("half_bits", ALL_HALVES, Out(WIDENED), Out(toward_zero(WIDENED * np.float32(1.0009)).view(np.uint16)),
         count=len(ALL_HALVES)),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_elementwise_kernel(corpus, case):
    for arch in case.archs:
        for seed in case.seeds:
            check(case, corpus("elementwise", arch), seed)
