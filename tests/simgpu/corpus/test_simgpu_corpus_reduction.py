"""Reductions against numpy."""

import numpy as np
import pytest

from tests.simgpu.corpus.case import Case, Out, check, close, from_bf16, random, to_bf16

N = 4099
INTS = np.random.default_rng(1).integers(-1000, 1000, N).astype(np.int32)
FLOATS = random(2, N)
DOUBLES = random(3, N, dtype=np.float64)
HALVES = random(4, N, dtype=np.float16)
BF = to_bf16(random(5, N))
BYTES_A, BYTES_B = (random(seed, 4 * 513, dtype=np.int8) for seed in (6, 7))
WIDE_INTS = random(8, N, dtype=np.int32)
COUNT = np.int32(N)
ZERO = np.zeros(1, np.int32)
ORDERS = (None, 1, 2)
MODERN = ("sm_75", "sm_80", "sm_90")


def by_block(array, size):
    return np.resize(np.pad(array, (0, -len(array) % size)), (-(-len(array) // size), size)).sum(1, dtype=array.dtype)


def total(array, initial=ZERO):
    return Out(np.array([array.sum()], initial.dtype), initial=initial)


def strided(array, grid, block):
    """Each block's sum when the grid strides over the array."""
    step = grid * block
    padded = np.pad(array, (0, -len(array) % step))
    return padded.reshape(-1, grid, block).sum((0, 2))


def argmax_key():
    place = FLOATS.argmax()
    bits = int(FLOATS[place].view(np.uint32)) | 0x80000000
    return np.array([bits << 32 | (~int(place) & 0xFFFFFFFF)], np.uint64)


ROWS = random(9, 7, 77) + 100
MATRIX = random(10, 101, 67)

CASES = (
    Case("sum_interleaved", (33,), (128,), (INTS, Out(by_block(INTS, 128)), COUNT), 512, seeds=ORDERS, archs=MODERN),
    Case("sum_sequential", (17,), (128,), (FLOATS, close(by_block(FLOATS, 256), 1e-5, 1e-5), COUNT), 512, seeds=ORDERS),
    Case("sum_unrolled_double", (5,), (128,), (DOUBLES, close(strided(DOUBLES, 5, 128), 1e-13, dtype=np.float64), COUNT)),
    Case("sum_shuffle_atomic", (6,), (192,), (FLOATS, close([FLOATS.sum()], 1e-4, initial=np.zeros(1, np.float32)), COUNT),
         seeds=ORDERS, archs=MODERN),
    Case("sum_groups", (3,), (160,), (INTS, total(INTS), COUNT), seeds=ORDERS, archs=MODERN),
    Case("max_in_groups", (17,), (256,), (WIDE_INTS.view(np.uint32), Out(WIDE_INTS.view(np.uint32).max()[None],
                                          initial=np.zeros(1, np.uint32)), COUNT)),
    Case("sum_half_wide", (1,), (224,), (HALVES, close([HALVES.astype(float).sum()], 1e-4), COUNT)),
    Case("sum_bf16", (1,), (224,), (BF, close([from_bf16(BF).astype(float).sum()], 1e-4), COUNT), archs=("sm_80", "sm_90")),
    Case("dot_bytes", (3,), (64,), (BYTES_A, BYTES_B, total(BYTES_A.astype(np.int32) * BYTES_B), np.int32(513))),
    Case("dot_mixed_signs", (1,), (96,), (BYTES_A, BYTES_B, Out(
        np.array([(BYTES_A.view(np.uint8).astype(np.uint32) * BYTES_B.view(np.uint8)).sum()], np.uint32)), np.int32(513))),
    Case("argmax", (4,), (128,), (FLOATS, Out(argmax_key(), initial=np.zeros(1, np.uint64)), COUNT), seeds=ORDERS),
    Case("extremes_redux", (33,), (128,), (
        INTS, Out(INTS.min()[None], initial=ZERO), Out(INTS.max()[None], initial=ZERO),
        Out(np.bitwise_or.reduce(INTS).view(np.uint32)[None], initial=np.zeros(1, np.uint32)), COUNT)),
    Case("variance_rows", (7,), (32,), (ROWS, close(np.stack([ROWS.astype(float).mean(1), ROWS.astype(float).var(1)], 1),
                                                    1e-4), np.int32(77))),
    Case("sum_last_block", (13,), (96,), (INTS, Out(strided(INTS, 13, 96).astype(np.int32)), Out(ZERO, initial=ZERO),
                                          Out(np.array([INTS.sum()], np.int32)), COUNT), seeds=ORDERS, archs=MODERN),
    Case("column_sums", (3,), (32, 8), (MATRIX, close(MATRIX.sum(0), 1e-4, 1e-5), np.int32(101), np.int32(67))),
    Case("norm_int64", (1,), (96,), (WIDE_INTS, Out(np.array([(WIDE_INTS.astype(np.int64) ** 2).sum()]),
                                     initial=np.zeros(1, np.int64)), COUNT)),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_reduction(corpus, case):
    for arch in case.archs:
        for seed in case.seeds:
            check(case, corpus("reduction", arch), seed)
