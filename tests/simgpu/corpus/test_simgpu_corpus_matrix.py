"""Transposes and products of matrices against numpy."""

import numpy as np
import pytest

from tests.simgpu.corpus.case import Case, Out, blocks, check, close, random

TALL = random(1, 67, 43)
ROWS, COLUMNS = (np.int32(size) for size in TALL.shape)
DOUBLES = random(2, 37, 53, dtype=np.float64)
PACKS = random(3, 28, 44)
M, N, K = 45, 37, 53
A, B, C = random(4, M, K), random(5, K, N), random(6, M, N)
WIDE_PRODUCT = A.astype(np.float64) @ B
SIZES = (np.int32(M), np.int32(N), np.int32(K))
EVEN_A, EVEN_B = random(7, 64, 48), random(8, 48, 96)
EVEN = close(EVEN_A.astype(np.float64) @ EVEN_B, 1e-4, 1e-4)
VECTOR = random(9, K)
HALVES, HALF_VECTOR = random(10, 11, 74, dtype=np.float16), random(11, 74, dtype=np.float16)
BATCH_A, BATCH_B = random(12, 3, 9, 11, dtype=np.float64), random(13, 3, 11, 7, dtype=np.float64)
BATCH = random(20, 2, 5, 7, 7)
BYTES_A, BYTES_B = random(14, 13, 28, dtype=np.int8), random(15, 19, 28, dtype=np.int8)
MODERN = ("sm_75", "sm_80", "sm_90")


def sparse():
    rng = np.random.default_rng(16)
    dense = np.where(rng.random((83, 61)) < rng.random((83, 1)) * 0.5, rng.standard_normal((83, 61)), 0)
    rows, columns = np.nonzero(dense)
    start = np.searchsorted(rows, np.arange(84)).astype(np.int32)
    x = random(17, 61)
    return start, columns.astype(np.int32), dense[rows, columns].astype(np.float32), x, dense @ x


START, COLUMN, VALUE, X, PRODUCT = sparse()
SPARSE = (START, COLUMN, VALUE, X, close(PRODUCT, 1e-5, 1e-5), np.int32(83))
LOWER = np.tril(random(18, 41, 41)) * 0.2 + 2 * np.eye(41, dtype=np.float32)
RIGHT = random(19, 41)
SQUARE = (LOWER @ LOWER.T).astype(np.float32)
FACTOR = np.tril(np.linalg.cholesky(SQUARE.astype(np.float64))) + np.triu(SQUARE, 1)
PLAIN = (A, B, close(WIDE_PRODUCT, 1e-4, 1e-4), *SIZES)

CASES = (
    Case("transpose_naive", (3, 9), (16, 8), (TALL, Out(TALL.T.copy()), ROWS, COLUMNS)),
    Case("transpose_tiled", (2, 3), (32, 8), (TALL, Out(TALL.T.copy()), ROWS, COLUMNS), seeds=(None, 1)),
    Case("transpose_padded", (2, 3), (32, 8), (TALL, Out(TALL.T.copy()), ROWS, COLUMNS), archs=MODERN),
    Case("transpose_swizzled", (4, 3), (16, 16), (DOUBLES, Out(DOUBLES.T.copy()), np.int32(37), np.int32(53))),
    Case("transpose_packs", (2, 2), (8, 4), (PACKS, Out(PACKS.T.copy()), np.int32(28), np.int32(44))),
    Case("sgemv", (blocks(M, 4),), (32, 4), (A, VECTOR, close(A.astype(float) @ VECTOR, 1e-5, 1e-5), *SIZES[::2])),
    Case("hgemv", (11,), (32,), (HALVES, HALF_VECTOR, close(HALVES.astype(float) @ HALF_VECTOR, 1e-2, 3e-2, dtype=np.float16),
                                 np.int32(37))),
    Case("sgemm_naive", (3, 6), (16, 8), (
        A, B, close(0.5 * WIDE_PRODUCT - 2 * C, 1e-4, 1e-4, initial=C), *SIZES, np.float32(0.5), np.float32(-2))),
    Case("sgemm_tiled", (3, 3), (16, 16), PLAIN, 4 * (256 + 16 * 17), archs=MODERN, seeds=(None, 1, 2)),
    Case("sgemm_registers", (2, 2), (64,), PLAIN),
    Case("sgemm_double_buffered", (3, 2), (64,), (EVEN_A, EVEN_B, EVEN, np.int32(96), np.int32(48)), seeds=(None, 1)),
    Case("sgemm_async", (6, 4), (16, 16), (EVEN_A, EVEN_B, EVEN, np.int32(96), np.int32(48)), archs=("sm_75", "sm_80"),
         seeds=(None, 1)),
    Case("batched_small", (5,), (7, 7), (
        tuple(BATCH[0]), tuple(BATCH[1]), tuple(close(left @ right, 1e-5, 1e-5) for left, right in zip(*BATCH, strict=True)),
        np.int32(7)), 2 * 49 * 4),
    Case("dgemm_strided", (2, 1, 3), (32,), (BATCH_A, BATCH_B, close(BATCH_A @ BATCH_B, 1e-13, 1e-13, dtype=np.float64),
                                             np.int32(9), np.int32(7), np.int32(11))),
    Case("igemm_dp4a", (3, 2), (8, 8), (BYTES_A, BYTES_B, Out(BYTES_A.astype(np.int32) @ BYTES_B.T.astype(np.int32)),
                                        np.int32(13), np.int32(19), np.int32(7))),
    Case("spmv_scalar", (2,), (64,), SPARSE),
    Case("spmv_vector", (11,), (64,), SPARSE),
    Case("solve_lower", (1,), (64,), (LOWER, close(np.linalg.solve(LOWER.astype(float), RIGHT), 1e-4, 1e-5, initial=RIGHT),
                                      np.int32(41))),
    Case("cholesky", (1,), (16, 8), (close(FACTOR, 1e-4, 1e-5, initial=SQUARE), np.int32(41)), seeds=(None, 1)),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matrix_kernel(corpus, case):
    for arch in case.archs:
        for seed in case.seeds:
            check(case, corpus("matrix", arch), seed)
