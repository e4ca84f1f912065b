"""Histograms, atomics, flags, barriers and votes against numpy, mostly under several orders of blocks and warps."""

import numpy as np
import pytest

from tests.simgpu.corpus.case import Case, Out, check, close, random

N = 3001
COUNT = np.int32(N)
RNG = np.random.default_rng(1)
BYTES = RNG.integers(0, 256, N).astype(np.uint8)
KEYS = (RNG.integers(0, 40, 4 * 251) ** 2 // 40).astype(np.int32)
BINS = np.bincount(KEYS, minlength=40).astype(np.int32)
FLOATS = random(2, N)
DOUBLES = random(3, 997, dtype=np.float64)
INTS = RNG.integers(-1000, 1000, N).astype(np.int32)
UNSIGNED = INTS.view(np.uint32).astype(np.uint64)
ORDERS = (None, 1, 2)
MODERN = ("sm_75", "sm_80", "sm_90")


def families():
    out = [
        np.bitwise_and.reduce(INTS | 0xFF), np.bitwise_or.reduce(INTS & 0xF0F0), np.bitwise_xor.reduce(INTS), INTS.min(),
        INTS.max(), -INTS.sum(), 7, 1,
    ]  # fmt: skip
    wide = [(UNSIGNED << 20).sum(), (UNSIGNED * 3).min(), np.bitwise_xor.reduce(UNSIGNED << 32)]
    return np.array(out, np.int32), np.array([N % 7, (-N) % 11], np.uint32), np.array(wide, np.uint64)


def warp_votes():
    n, threads = 150, 160
    i = np.arange(threads)
    odd = (i < n) & (np.resize(INTS, threads) & 1 == 1)
    out = np.zeros(threads, np.uint32)
    for warp in range(threads // 32):
        lanes = slice(32 * warp, 32 * warp + 32)
        own, index = odd[lanes], i[lanes]
        ballot = sum(1 << lane for lane in range(32) if own[lane])
        rest = (int(np.all(own | (index % 3 != 0))) << 1) + (int(np.any(own & (index % 5 == 0))) << 2) + 8
        below = np.concatenate([[0], np.cumsum(own)[:-1]])
        out[lanes] = (ballot + rest + np.where(own, own.sum(), 0) + below) & 0xFFFFFFFF
    return out


def tile_votes():
    x = INTS[:128].reshape(16, 8).astype(np.int64)
    bits = 1 << np.arange(8)
    votes = ((x > 0) * bits).sum(1)
    each = votes + 1000 * (x > 900).any(1) + 10000 * (x < 500).all(1) + 100000 * (x.sum(1) & 15)
    same = ((x[:, :, None] & 3) == (x[:, None, :] & 3)) @ bits
    return (each[:, None] + (same << 21)).astype(np.int32).ravel()


def components():
    """Labels of connected components by repeated relaxation."""
    edges = RNG.integers(0, 300, (220, 2)).astype(np.int32)
    label = np.arange(300, dtype=np.int32)
    for _ in range(300):
        least = np.minimum(label[edges[:, 0]], label[edges[:, 1]])
        np.minimum.at(label, edges[:, 0], least)
        np.minimum.at(label, edges[:, 1], least)
    return edges, label


EDGES, LABELS = components()
FAMILIES, WRAPPED, WIDE = families()
STARTS = (np.array([-1, 0, 0, 2**31 - 1, -(2**31), 0, -1, 0], np.int32), np.zeros(2, np.uint32),
          np.array([0, 2**64 - 1, 0], np.uint64))  # fmt: skip
LOCKED = [0]
for _ in range(9):
    LOCKED.append(LOCKED[-1] * 3 % 1009 + 1)
SLOTS = INTS[: 5 * 64].reshape(5, 64)
ALIKE = np.repeat(np.array([5, -9, 8], np.int32), 32)
ALIKE[40] = 1
ITEMS = INTS[:57]
SUMS = np.array([DOUBLES[k::3].sum() for k in range(3)])

CASES = (
    Case("histogram_shared", (5,), (96,), (BYTES, Out(np.bincount(BYTES, minlength=256).astype(np.uint32),
                                           initial=np.zeros(256, np.uint32)), COUNT), seeds=ORDERS, archs=MODERN),
    Case("histogram_packs", (4,), (64,), (KEYS, Out(BINS, initial=np.zeros_like(BINS)), np.int32(251)), seeds=ORDERS),
    Case("histogram_match", (8,), (128,), (KEYS, Out(BINS, initial=np.zeros_like(BINS)), np.int32(len(KEYS))),
         seeds=ORDERS, archs=MODERN),
    Case("max_by_exchange", (24,), (128,), (FLOATS, Out(FLOATS.max()[None], initial=np.float32([-np.inf])), COUNT), seeds=ORDERS),
    Case("sum_by_exchange", (4,), (64,), (DOUBLES, close(SUMS, 1e-12, dtype=np.float64, initial=np.zeros(3)), np.int32(997))),
    # One warp, so that the order is that of its lanes.
    Case("append_positive", (1,), (32,), (
        INTS[:29], Out(INTS[:29][INTS[:29] > 0]), Out(np.int32([(INTS[:29] > 0).sum()]), initial=np.zeros(1, np.int32)),
        np.int32(29)), archs=MODERN),
    Case("atomic_families", (24,), (128,), (
        INTS[:N], Out(FAMILIES, initial=STARTS[0]), Out(WRAPPED, initial=STARTS[1]),
        Out(WIDE, initial=STARTS[2]), COUNT)),
    Case("half_atomics", (5,), (64,), (Out(np.float16([300, -600]), initial=np.zeros(2, np.float16)),
                                       Out(np.float16([0, 300]), initial=np.zeros(2, np.float16)),
                                       Out(np.float32([150]), initial=np.zeros(1, np.float32)), np.int32(300))),
    Case("locked_sections", (9,), (32,), (Out(np.zeros(1, np.int32), initial=np.zeros(1, np.int32)),
                                          Out(np.int32(LOCKED[-1:]), initial=np.zeros(1, np.int32))), seeds=ORDERS),
    Case("pass_the_token", (2,), (160,), (Out(np.arange(5, dtype=np.int32)[::-1].copy()),), seeds=ORDERS),
    Case("named_barriers", (1,), (128,), (SLOTS, Out(SLOTS[:, ::-1] * 2 + 1), np.int32(5)), seeds=ORDERS),
    Case("early_exit", (1,), (128,), (Out(np.full(37, 37 * 36 // 2, np.int32)), np.int32(37)), seeds=ORDERS),
    Case("barrier_votes", (1,), (97,), (INTS[:97], Out(np.int32([(INTS[:97] > 0).sum(), 77 in INTS[:97], 1])))),
    Case("warp_votes", (1,), (160,), (np.resize(INTS, 160), Out(warp_votes()), np.int32(150)), archs=MODERN),
    Case("tiles_vote", (2,), (64,), (INTS[:128], Out(tile_votes())), archs=MODERN),
    Case("match_all", (1,), (96,), (ALIKE, Out(np.repeat(np.array([-1, -7, -1], np.int32), 32)))),
    Case("connect", (1,), (128,), (close(np.zeros(300), 0, 1e9, dtype=np.int32, initial=np.arange(300, dtype=np.int32)),
                                   EDGES, Out(LABELS), np.int32(220), np.int32(300)), seeds=ORDERS),
    Case("work_queue", (4,), (64,), (ITEMS, Out(ITEMS[:, None] * np.arange(1, 5, dtype=np.int32)), np.int32(57))),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_synchronization(corpus, case):
    for arch in case.archs:
        for seed in case.seeds:
            check(case, corpus("synchronization", arch), seed)
