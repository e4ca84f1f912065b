"""Integer and bit instructions against Python's own integers."""

import numpy as np
import pytest

RNG = np.random.default_rng(7)
EDGES = {
    bits: [
        0,
        1,
        2,
        3,
        5,
        31,
        32,
        33,
        (1 << bits) - 1,
        (1 << bits) - 2,
        1 << bits - 1,
        (1 << bits - 1) - 1,
        (1 << bits - 1) + 1,
    ]
    for bits in (16, 32, 64)
}


def numbers(bits, seed=0):
    rng = np.random.default_rng(seed)
    random = [int(rng.integers(0, 1 << 62)) * 5 % (1 << bits) for _ in range(200)]
    small = [int(rng.integers(0, 100)) for _ in range(51)]
    values = [*EDGES[bits], *random, *small]
    rng.shuffle(values)
    return np.array(values, dtype=f"u{bits // 8}")


def signed(value, bits):
    value %= 1 << bits
    return value - (1 << bits) if value >> bits - 1 else value


def as_type(value, kind):
    bits = int(kind[1:])
    return signed(value, bits) if kind[0] == "s" else value % (1 << bits)


def quotient(a, b):
    if b == 0:
        return -1
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul.lo": lambda a, b: a * b,
    "div": quotient,
    "rem": lambda a, b: a - quotient(a, b) * b,
    "min": min,
    "max": max,
}


@pytest.mark.parametrize("kind", ["u16", "s16", "u32", "s32", "u64", "s64"])
@pytest.mark.parametrize("name", list(BINARY))
def test_binary_arithmetic(instruction, name, kind):
    bits = int(kind[1:])
    a, b = numbers(bits, 1), numbers(bits, 2)
    got = instruction(f"{name}.{kind}", f"u{bits}", (f"u{bits}", a), (f"u{bits}", b))
    expected = [
        BINARY[name](as_type(int(x), kind), as_type(int(y), kind)) % (1 << bits) for x, y in zip(a, b, strict=True)
    ]
    assert got.tolist() == expected


@pytest.mark.parametrize("kind", ["u32", "s32", "u64", "s64"])
def test_mul_hi(instruction, kind):
    bits = int(kind[1:])
    a, b = numbers(bits, 3), numbers(bits, 4)
    got = instruction(f"mul.hi.{kind}", f"u{bits}", (f"u{bits}", a), (f"u{bits}", b))
    expected = [as_type(int(x), kind) * as_type(int(y), kind) >> bits for x, y in zip(a, b, strict=True)]
    assert got.tolist() == [value % (1 << bits) for value in expected]


@pytest.mark.parametrize("kind", ["u16", "s16", "u32", "s32"])
def test_mad_wide(instruction, kind):
    bits = int(kind[1:])
    a, b, c = numbers(bits, 3), numbers(bits, 4), numbers(2 * bits, 5)
    got = instruction(f"mad.wide.{kind}", f"u{2 * bits}", (f"u{bits}", a), (f"u{bits}", b), (f"u{2 * bits}", c))
    expected = [as_type(int(x), kind) * as_type(int(y), kind) + int(z) for x, y, z in zip(a, b, c, strict=True)]
    assert got.tolist() == [value % (1 << 2 * bits) for value in expected]


def test_saturating_add(instruction):
    a, b = numbers(32, 1), numbers(32, 2)
    got = instruction("add.sat.s32", "s32", ("u32", a), ("u32", b))
    expected = [
        min(max(signed(int(x), 32) + signed(int(y), 32), -(2**31)), 2**31 - 1) for x, y in zip(a, b, strict=True)
    ]
    assert got.tolist() == expected


SHIFTS = {
    "shl": lambda a, n, bits: 0 if n >= bits else int(a) << n,
    "shr.u": lambda a, n, _bits: int(a) >> n,
    "shr.s": lambda a, n, bits: signed(int(a), bits) >> n,
}


@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize("name", list(SHIFTS))
def test_shifts_clamp_their_amount(instruction, name, bits):
    a, n = (
        numbers(bits, 1),
        np.resize(np.array([0, 1, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 2**32 - 1], np.uint32), 264),
    )
    opcode = f"{name}.b{bits}" if name == "shl" else f"{name}{bits}"
    got = instruction(opcode, f"u{bits}", (f"u{bits}", a), ("u32", n))
    expected = [SHIFTS[name](x, min(int(y), 200), bits) % (1 << bits) for x, y in zip(a, n, strict=True)]
    assert got.tolist() == expected


@pytest.mark.parametrize("table", [0x00, 0x96, 0xE8, 0xCA, 0xF8, 0x1D, 0xFF])
def test_lop3(instruction, table):
    a, b, c = numbers(32, 1), numbers(32, 2), numbers(32, 3)
    got = instruction("lop3.b32", "u32", ("u32", a), ("u32", b), ("u32", c), constants=str(table))
    rows = [
        (a >> np.uint32(bit) & 1) << 2 | (b >> np.uint32(bit) & 1) << 1 | (c >> np.uint32(bit) & 1) for bit in range(32)
    ]
    expected = sum(
        (np.uint64(table) >> row.astype(np.uint64) & np.uint64(1)) << np.uint64(bit) for bit, row in enumerate(rows)
    )
    assert got.tolist() == expected.tolist()


def bfe(value, start, length, kind):
    bits = int(kind[1:])
    start, length = start & 255, length & 255
    top = min(start + length - 1, bits - 1)
    sign = 0 if kind[0] == "u" or length == 0 else value >> top & 1
    out = 0
    for place in range(bits):
        bit = value >> place + start & 1 if place < length and place + start < bits else sign
        out |= bit << place
    return out


@pytest.mark.parametrize("kind", ["u32", "s32", "u64", "s64"])
def test_bfe(instruction, kind):
    bits = int(kind[1:])
    a = numbers(bits, 1)
    start, length = RNG.integers(0, 80, (2, len(a)), dtype=np.uint32)
    got = instruction(f"bfe.{kind}", f"u{bits}", (f"u{bits}", a), ("u32", start), ("u32", length))
    assert got.tolist() == [bfe(int(x), int(s), int(n), kind) for x, s, n in zip(a, start, length, strict=True)]


@pytest.mark.parametrize("bits", [32, 64])
def test_bfi(instruction, bits):
    a, b = numbers(bits, 1), numbers(bits, 2)
    start, length = RNG.integers(0, 80, (2, len(a)), dtype=np.uint32)
    got = instruction(f"bfi.b{bits}", f"u{bits}", (f"u{bits}", a), (f"u{bits}", b), ("u32", start), ("u32", length))

    def bfi(field, base, at, size):
        mask = ((1 << size) - 1 << at) % (1 << bits)
        return base & ~mask | field << at & mask

    expected = [bfi(int(x), int(y), int(s), int(n)) for x, y, s, n in zip(a, b, start, length, strict=True)]
    assert got.tolist() == expected


def test_prmt(instruction):
    a, b, s = numbers(32, 1), numbers(32, 2), numbers(32, 3)
    got = instruction("prmt.b32", "u32", ("u32", a), ("u32", b), ("u32", s))

    def prmt(low, high, selector):
        pool = (low | high << 32).to_bytes(8, "little")
        out = []
        for place in range(4):
            nibble = selector >> 4 * place & 15
            byte = pool[nibble & 7]
            out.append((0xFF if byte & 0x80 else 0) if nibble & 8 else byte)
        return int.from_bytes(bytes(out), "little")

    assert got.tolist() == [prmt(int(x), int(y), int(z)) for x, y, z in zip(a, b, s, strict=True)]


@pytest.mark.parametrize("bits", [32, 64])
def test_bit_counts(instruction, bits):
    a = numbers(bits, 1)
    values = [int(x) for x in a]
    kind = (f"u{bits}", a)
    assert instruction(f"popc.b{bits}", "u32", kind).tolist() == [x.bit_count() for x in values]
    assert instruction(f"clz.b{bits}", "u32", kind).tolist() == [bits - x.bit_length() for x in values]
    assert instruction(f"brev.b{bits}", f"u{bits}", kind).tolist() == [int(f"{x:0{bits}b}"[::-1], 2) for x in values]
    assert instruction(f"bfind.u{bits}", "s32", kind).tolist() == [x.bit_length() - 1 for x in values]
    folded = [x if x < 1 << bits - 1 else x ^ (1 << bits) - 1 for x in values]
    assert instruction(f"bfind.s{bits}", "s32", kind).tolist() == [x.bit_length() - 1 for x in folded]


@pytest.mark.parametrize("side", ["l", "r"])
@pytest.mark.parametrize("mode", ["wrap", "clamp"])
def test_funnel_shift(instruction, side, mode):
    low, high = numbers(32, 1), numbers(32, 2)
    n = np.resize(np.array([0, 1, 7, 31, 32, 33, 64, 100], np.uint32), len(low))
    got = instruction(f"shf.{side}.{mode}.b32", "u32", ("u32", low), ("u32", high), ("u32", n))
    amounts = [int(x) & 31 if mode == "wrap" else min(int(x), 32) for x in n]
    both = [int(x) | int(y) << 32 for x, y in zip(low, high, strict=True)]
    expected = [(x << k >> 32 if side == "l" else x >> k) % 2**32 for x, k in zip(both, amounts, strict=True)]
    assert got.tolist() == expected


@pytest.mark.parametrize("kinds", ["s32.s32", "u32.u32", "u32.s32", "s32.u32"])
def test_dp4a(instruction, kinds):
    a, b, c = numbers(32, 1), numbers(32, 2), numbers(32, 3)
    got = instruction(f"dp4a.{kinds}", "u32", ("u32", a), ("u32", b), ("u32", c))
    left, right = ((np.int8 if kind[0] == "s" else np.uint8) for kind in kinds.split("."))
    products = (a.view(left).astype(np.int64) * b.view(right).astype(np.int64)).reshape(-1, 4).sum(1)
    assert got.tolist() == ((products + c.astype(np.int64)) % 2**32).tolist()


def test_sad_and_mul24(instruction):
    a, b, c = numbers(32, 1), numbers(32, 2), numbers(32, 3)
    got = instruction("sad.s32", "u32", ("u32", a), ("u32", b), ("u32", c))
    expected = [
        (abs(signed(int(x), 32) - signed(int(y), 32)) + int(z)) % 2**32 for x, y, z in zip(a, b, c, strict=True)
    ]
    assert got.tolist() == expected
    got = instruction("mul24.lo.s32", "u32", ("u32", a), ("u32", b))
    expected = [signed(int(x), 24) * signed(int(y), 24) % 2**32 for x, y in zip(a, b, strict=True)]
    assert got.tolist() == expected


def test_carry_chains(card, compile_cuda):
    """128-bit sums, differences and products of nvcc are carry chains."""
    module = compile_cuda(r"""
typedef unsigned __int128 wide;
extern "C" __global__ void work(const wide* a, const wide* b, wide* out, int n) {
  int t = threadIdx.x; wide x = a[t], y = b[t];
  out[t] = x + y; out[n + t] = x - y; out[2 * n + t] = x * y;
}""")
    a, b = (numbers(64, seed)[:64].reshape(-1, 2) for seed in (11, 12))
    a[0], b[0] = (2**64 - 1, 0), (1, 0)
    out = np.zeros((3, 32, 2), np.uint64)
    target = card.put(out)
    assert card.run(module, "work", (1,), (32,), card.put(a), card.put(b), target, np.int32(32)).ok
    got = [[int(low) | int(high) << 64 for low, high in row] for row in card.get(target, out)]
    x, y = ([int(low) | int(high) << 64 for low, high in side] for side in (a, b))
    pairs = list(zip(x, y, strict=True))
    assert got[0] == [(p + q) % 2**128 for p, q in pairs]
    assert got[1] == [(p - q) % 2**128 for p, q in pairs]
    assert got[2] == [p * q % 2**128 for p, q in pairs]
