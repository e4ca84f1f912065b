"""A language model's kernels against numpy."""

import numpy as np
import pytest

from tests.simgpu.corpus.case import Case, Out, blocks, check, close, from_bf16, random, to_bf16

HEADS, LENGTH, WIDTH = 3, 37, 24
Q, K, V = random(1, 3, HEADS, LENGTH, WIDTH)
ROPED = random(2, 11, 3, 14)
TOKENS = np.random.default_rng(3).integers(0, 50, 21).astype(np.int32)
TABLE, POSITIONS = to_bf16(random(4, 50, 45)), random(5, 7, 45)
GRADIENT = random(6, 21, 45)
LOGITS = random(7, 9, 301) * 2
TARGETS = np.random.default_rng(8).integers(0, 301, 9).astype(np.int32)
TARGETS[4] = -1
X = random(9, 1003)
P, M, G = random(10, 3, 523)
V2 = random(11, 523) ** 2
MODERN = ("sm_75", "sm_80", "sm_90")


def sizes(*values):
    return tuple(np.int32(value) for value in values)


def attention(causal):
    scores = np.einsum("hqd,hkd->hqk", Q.astype(float), K) / np.sqrt(WIDTH)
    if causal:
        scores[:, ~np.tri(LENGTH, dtype=bool)] = -np.inf
    high = scores.max(2, keepdims=True)
    weights = np.exp(scores - high)
    total = weights.sum(2, keepdims=True)
    return close(weights / total @ V, 1e-4, 1e-5), close((high + np.log(total))[..., 0], 1e-5, 1e-5)


def rotated():
    """Rotate pairs as complex numbers."""
    pairs = ROPED[..., :7] + 1j * ROPED[..., 7:].astype(float)
    turned = pairs * np.exp(1j * np.arange(11)[:, None] * 100.0 ** (-np.arange(7) / 7))[:, None]
    return np.concatenate([turned.real, turned.imag], 2)


def embedding_gradient():
    out = np.zeros((50, 45))
    np.add.at(out, TOKENS, GRADIENT)
    return close(out, 1e-5, 1e-6, initial=np.zeros((50, 45), np.float32))


def losses():
    e = np.exp(LOGITS.astype(float) - LOGITS.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    loss = -np.log(p[np.arange(9), TARGETS])
    gradient = p - np.eye(301)[TARGETS]
    loss[4], gradient[4] = 0, 0
    return close(loss, 1e-5, 1e-5), close(gradient, 1e-4, 1e-6)


def philox(counter, key):
    """Compute Philox 4x32-10 (Salmon et al., 2011) on Python integers."""
    c, (k0, k1) = list(counter), key
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [q >> 32 ^ c[1] ^ k0, q & 0xFFFFFFFF, p >> 32 ^ c[3] ^ k1, p & 0xFFFFFFFF]
        k0, k1 = k0 + 0x9E3779B9 & 0xFFFFFFFF, k1 + 0xBB67AE85 & 0xFFFFFFFF
    return c


SEED = 0x123456789ABCDEF0
DRAWN = np.array([philox((i, 0, 0, 0), (SEED & 0xFFFFFFFF, SEED >> 32)) for i in range(251)]).ravel()[:1003]
KEPT = np.float32(0.8) > (DRAWN >> 8) * 2.0**-24
ADAM = np.dtype([(name, "f4") for name in ("rate", "beta1", "beta2", "epsilon", "decay", "first", "second")])
STEP = np.array([(1e-2, 0.9, 0.99, 1e-8, 0.1, 1 - 0.9**3, 1 - 0.99**3)], ADAM)[0]
FIRST, SECOND = 0.9 * M.astype(float) + 0.1 * G, 0.99 * V2.astype(float) + 0.01 * G.astype(float) ** 2
MOVED = P - 1e-2 * (FIRST / STEP["first"] / (np.sqrt(SECOND / STEP["second"]) + 1e-8) + 0.1 * P)
PACKED = np.zeros(35, np.dtype([("scale", "f2"), ("pairs", "u1", 16)]))
PACKED["scale"], PACKED["pairs"] = random(12, 35), np.random.default_rng(13).integers(0, 256, (35, 16))
LOW, HIGH = (PACKED["pairs"] & 15).astype(float) - 8, (PACKED["pairs"] >> 4).astype(float) - 8
UNPACKED = np.concatenate([LOW, HIGH], 1) * PACKED["scale"].astype(np.float32)[:, None]
INPUT = random(14, 160)
ROWS = random(15, 5, 52)
STEPS = np.abs(ROWS).max(1, keepdims=True) / np.float32(127)
PROBABILITIES = np.random.default_rng(16).dirichlet(np.ones(101), 13).astype(np.float32)
DRAWS = np.random.default_rng(17).random(13).astype(np.float32)
CHOSEN = [
    int(np.searchsorted(np.cumsum(row.astype(float)), draw, "right"))
    for row, draw in zip(PROBABILITIES, DRAWS, strict=True)
]
CACHE = random(18, 2, 3, 9, 10, dtype=np.float16)
NEW = random(19, 2, 3, 10, dtype=np.float16)
EXTENDED = CACHE.copy()
EXTENDED[0, :, 4] = NEW[0]
FUSED = random(20, 2, 5, 3, 4, 6)
SPLIT = [np.ascontiguousarray(FUSED[:, :, part].transpose(0, 2, 1, 3)) for part in range(3)]
SCORES = random(21, 4, 19, 19, dtype=np.float16)
DISTANCE = np.arange(19)[:, None] - np.arange(19)
BIASED = SCORES + (-(2.0 ** (-8 * np.arange(1, 5) / 4))[:, None, None] * DISTANCE).astype(np.float16)
BIASED = np.where(DISTANCE < 0, np.float16(-np.inf), BIASED)
POOL = 4 * (16 * WIDTH + 16 * (WIDTH + 1) + 16 * WIDTH + 256)

CASES = (
    Case("flash_attention", (3, HEADS), (16, 16), (Q, K, V, *attention(causal=False), *sizes(LENGTH, WIDTH)), POOL, archs=MODERN),
    Case("flash_attention_causal", (3, HEADS), (16, 16), (Q, K, V, *attention(causal=True), *sizes(LENGTH, WIDTH)), POOL,
         seeds=(None, 1, 2)),
    Case("rope", (1, 11), (32,), (ROPED, close(rotated(), 1e-4, 1e-5), *sizes(3, 7), np.float32(100))),
    Case("embed", (21,), (32,), (TOKENS, TABLE, POSITIONS, Out(from_bf16(TABLE)[TOKENS] + np.tile(POSITIONS, (3, 1))),
                                 *sizes(45, 7)), archs=("sm_80", "sm_90")),
    Case("embed_backward", (21,), (32,), (TOKENS, GRADIENT, embedding_gradient(), *sizes(45)), seeds=(None, 1)),
    Case("cross_entropy", (9,), (128,), (LOGITS, TARGETS, *losses(), *sizes(301)), 301 * 4, archs=MODERN),
    Case("dropout", (4,), (64,), (X, close(np.where(KEPT, X / np.float32(0.8), 0), 1e-6), Out(KEPT.astype(np.uint8)),
                                  *sizes(1003), np.float32(0.8), np.uint64(SEED)), archs=MODERN),
    Case("adamw", (5,), (128,), (
        close(MOVED, 1e-5, 1e-6, initial=P), close(MOVED.astype(np.float32).view(np.uint32) >> 16, 0, 1, dtype=np.uint16),
        close(FIRST, 1e-5, 1e-6, initial=M), close(SECOND, 1e-5, 1e-6, initial=V2), G, STEP, np.int64(523))),
    Case("append_to_cache", (3, 2), (32,), (NEW, Out(EXTENDED, initial=CACHE), np.int32([4, 9]), *sizes(3, 10, 9))),
    Case("unpack_4_bit", (9,), (16, 4), (PACKED, close(UNPACKED, 1e-6), *sizes(35)), archs=MODERN),
    Case("product_4_bit", (7,), (32,), (PACKED, INPUT, close(UNPACKED.reshape(7, 160) @ INPUT, 1e-4, 1e-4), *sizes(5))),
    Case("quantize_rows", (5,), (32,), (ROWS, Out(np.rint(ROWS / STEPS).astype(np.int8)), Out(STEPS.astype(np.float32)),
                                        *sizes(13))),
    Case("sample", (13,), (32,), (PROBABILITIES, DRAWS, Out(np.int32(CHOSEN)), *sizes(101))),
    Case("permute_heads", (blocks(120, 64), 2), (64,), (FUSED, *(Out(part) for part in SPLIT), *sizes(5, 4, 6))),
    Case("attention_bias", (1, 19, 4), (32,), (Out(BIASED, initial=SCORES), *sizes(4, 19))),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_transformer_kernel(corpus, case):
    for arch in case.archs:
        for seed in case.seeds:
            check(case, corpus("transformer", arch), seed)
