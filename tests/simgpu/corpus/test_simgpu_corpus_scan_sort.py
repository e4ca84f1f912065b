"""Scans, sorts and searches against numpy."""

import numpy as np
import pytest

from tests.simgpu.corpus.case import Case, Out, blocks, check, close

N = 1511
RNG = np.random.default_rng(1)
INTS = RNG.integers(-1000, 1000, N).astype(np.int32)
SUMS = np.cumsum(INTS, dtype=np.int32)
FLOATS = RNG.standard_normal(N).astype(np.float32)
HEADS = (RNG.random(N) < 0.05).astype(np.int32)
KEYS = RNG.integers(0, 2**32, 401, dtype=np.uint32)
SHORTS = RNG.integers(-500, 500, 61).astype(np.int16)
SMALL = RNG.integers(0, 2**16, 251).astype(np.uint16)
ROWS = RNG.standard_normal((3, 211)).astype(np.float32)
ORDER = np.argsort(-ROWS, axis=1, kind="stable")[:, :5]
KEPT = INTS[np.fmod(INTS, 3) == 0]
SORTED = np.sort(RNG.integers(-(2**62), 2**62, 307))
QUERIES = np.concatenate([RNG.integers(-(2**62), 2**62, 90), SORTED[:7]])
LEFT, RIGHT = (np.sort(RNG.integers(0, 99, size)).astype(np.int32) for size in (203, 118))
TABLE = RNG.integers(-9, 9, (37, 23)).astype(np.int32)
ORDERS = (None, 1, 2)
MODERN = ("sm_75", "sm_80", "sm_90")
COUNT = np.int32(N)


def segments():
    total, out = 0.0, np.zeros(N)
    for i in range(N):
        total = FLOATS[i] + (0 if HEADS[i] else total)
        out[i] = total
    return out


def exclusive(array):
    return np.concatenate([[0], np.cumsum(array, dtype=np.float64)[:-1]])


def kept_first(size):
    """Return expected outputs of a compaction: what lies beyond the kept elements stays as it was."""
    return Out(
        np.concatenate([KEPT, np.full(size - len(KEPT), -1)]).astype(np.int32), initial=np.full(size, -1, np.int32)
    )


TILES = blocks(N, 128)
STATUS = (2 << 32) | (np.pad(INTS, (0, -N % 128)).reshape(-1, 128).sum(1).cumsum() & 0xFFFFFFFF)

CASES = (
    Case("scan_hillis_steele", (1,), (512,), (INTS[:499], Out(SUMS[:499]), np.int32(499)), 4096, archs=MODERN, seeds=ORDERS),
    Case("scan_blelloch", (1,), (128,), (FLOATS[:251], close(exclusive(FLOATS[:251]), 1e-4, 1e-5), np.int32(251)), seeds=ORDERS),
    Case("scan_warps", (1,), (160,), (INTS, Out(SUMS), COUNT), archs=MODERN, seeds=(None, 1)),
    Case("scan_look_back", (TILES,), (128,), (
        INTS, Out(SUMS), Out(STATUS.astype(np.uint64), initial=np.zeros(TILES, np.uint64)),
        Out(np.uint32([TILES]), initial=np.zeros(1, np.uint32)), COUNT), seeds=ORDERS),
    Case("segmented_scan", (1,), (32,), (HEADS, FLOATS, close(segments(), 1e-4, 1e-4), COUNT)),
    Case("bitonic_sort", (1,), (256,), (Out(np.sort(KEYS), initial=KEYS), np.int32(401)), seeds=ORDERS),
    Case("bitonic_warp", (2,), (64,), (Out(np.sort(FLOATS[:128].reshape(4, 32), 1), initial=FLOATS[:128]),)),
    Case("odd_even_sort", (1,), (32,), (Out(np.sort(SHORTS), initial=SHORTS), np.int32(61))),
    Case("radix_sort_16_bits", (1,), (256,), (Out(np.sort(SMALL), initial=SMALL), np.int32(251)), seeds=ORDERS),
    Case("top_k", (3,), (32,), (ROWS, Out(np.take_along_axis(ROWS, ORDER, 1)), Out(ORDER.astype(np.int32)), np.int32(211))),
    Case("compact_stable", (1,), (96,), (INTS, kept_first(N), Out(np.int32([len(KEPT)])), COUNT)),
    Case("upper_bound", (2,), (64,), (SORTED, QUERIES, Out(np.searchsorted(SORTED, QUERIES, "right").astype(np.int32)),
                                      np.int32(307), np.int32(97))),
    Case("merge_path", (2,), (32,), (LEFT, RIGHT, Out(np.sort(np.concatenate([LEFT, RIGHT]))), np.int32(203), np.int32(118))),
    Case("insertion_sort_rows", (2,), (32,), (Out(np.sort(TABLE, 1), initial=TABLE), np.int32(23), np.int32(37))),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_scan_or_sort(corpus, case):
    for arch in case.archs:
        for seed in case.seeds:
            check(case, corpus("scan_sort", arch), seed)
