"""Tensor-core products against numpy."""

import numpy as np
import pytest

from tests.simgpu.corpus.case import Case, Out, check, close, from_bf16, random, to_bf16

A, B = random(1, 48, 80, dtype=np.float16), random(2, 80, 64, dtype=np.float16)
WIDE_A, WIDE_B = random(3, 64, 96, dtype=np.float16), random(4, 96, 96, dtype=np.float16)
BF_A, BF_B = to_bf16(random(5, 16, 48)), to_bf16(random(6, 8, 48))
A32, B32 = random(7, 16, 40), random(8, 8, 40)
BYTES_A, BYTES_B = random(9, 16, 96, dtype=np.int8), random(10, 8, 96, dtype=np.int8)
TALL_A, FLAT_B = random(11, 32, 48, dtype=np.int8), random(12, 8, 48, dtype=np.int8)
DOUBLE_A, DOUBLE_B, DOUBLE_C = (random(seed, *shape, dtype=np.float64) for seed, shape in
                                ((13, (8, 20)), (14, (20, 8)), (15, (8, 8))))  # fmt: skip
TF_A, TF_B = random(16, 16, 8), random(17, 16, 8)
BF_LEFT, BF_RIGHT = to_bf16(random(18, 16, 8)), to_bf16(random(19, 16, 32))
MODERN = ("sm_80", "sm_90")
ALL = ("sm_75", "sm_80", "sm_90")


def product(a, b):
    return a.astype(np.float64) @ b.astype(np.float64)


def tf32(array):
    """Round to ten mantissa bits, ties away from zero."""
    return ((array.view(np.uint32) + 0x1000) & 0xFFFFE000).view(np.float32)


def whole(a, b):
    return Out(a.astype(np.int32) @ b.astype(np.int32))


CASES = (
    Case("wmma_half", (2, 3), (64,), (A, B, close(product(A, B) / 2, 1e-4, 1e-4), *(np.int32(size) for size in (48, 64, 80))),
         archs=ALL),
    Case("wmma_half_shared", (4, 3), (32,), (
        A, np.ascontiguousarray(B.T), close(product(A, B) + 1, 1e-2, 5e-2, dtype=np.float16), np.int32(64), np.int32(80)),
        archs=ALL),
    Case("wmma_bytes", (1,), (32,), (TALL_A, FLAT_B, Out(whole(TALL_A, FLAT_B.T).expected.T.copy()), np.int32(48)), archs=ALL),
    Case("mma_ldmatrix", (3, 2), (128,), (WIDE_A, WIDE_B, close(product(WIDE_A, WIDE_B), 1e-4, 1e-4), np.int32(96),
                                          np.int32(96)), archs=MODERN, seeds=(None, 1)),
    Case("mma_bf16", (1,), (32,), (BF_A, BF_B, close(product(from_bf16(BF_A), from_bf16(BF_B).T), 1e-4, 1e-4), np.int32(48)),
         archs=MODERN),
    Case("mma_tf32", (1,), (32,), (A32, B32, close(product(tf32(A32), tf32(B32).T), 1e-5, 1e-5), np.int32(40))),
    Case("mma_bytes", (1,), (32,), (BYTES_A, BYTES_B, whole(BYTES_A, BYTES_B.T), np.int32(24)), archs=MODERN),
    Case("wmma_double", (1,), (32,), (
        DOUBLE_A, DOUBLE_B, close(DOUBLE_A @ DOUBLE_B + DOUBLE_C, 1e-13, 1e-13, dtype=np.float64, initial=DOUBLE_C),
        np.int32(20))),
    Case("wmma_tf32", (1,), (32,), (TF_A, TF_B, close(product(tf32(TF_A), tf32(TF_B).T), 1e-5, 1e-5))),
    Case("wmma_bf16", (1,), (32,), (BF_LEFT, BF_RIGHT, close(product(from_bf16(BF_LEFT).T, from_bf16(BF_RIGHT)), 1e-5, 1e-5))),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_tensor_core_product(corpus, case):
    for arch in case.archs:
        for seed in case.seeds:
            check(case, corpus("tensor_core", arch), seed)
