"""Features of the language against Python and numpy."""

import itertools
import math
import zlib

import numpy as np
import pytest

from tests.simgpu.corpus.case import Case, Out, blocks, check, close, random

N = 203
COUNT = np.int32(N)
RNG = np.random.default_rng(1)
WORDS, OTHERS = (random(seed, N, dtype=np.uint32) * np.uint32(2654435761) for seed in (2, 3))
LONG_A, LONG_B = (random(seed, N, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) for seed in (4, 5))
INTS = RNG.integers(-1000, 1000, N).astype(np.int32)
DOUBLES = random(6, N, dtype=np.float64)
FLOATS, MORE = random(7, N), random(8, N)
BYTES = RNG.integers(0, 256, N).astype(np.uint8)
HALF_A, HALF_B = (RNG.integers(-3, 3, 2 * N).astype(np.float16) for _ in range(2))
HALF_A[::17] = np.nan
MODERN = ("sm_75", "sm_80", "sm_90")
M32, M64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF


def each(function, *arrays, dtype=np.uint32):
    """Apply a function of Python integers to every element."""
    return np.array([function(*(int(v) for v in values)) for values in zip(*arrays, strict=True)], dtype)


def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


PROGRAM = np.int32([4, 3 << 8, 3, 4, 11, 7, 1, (17 << 8) | 8, 4, (1 << 8) | 6, (0x155 << 8) | 9, (5 << 8) | 0, 5, 2])


def wrapped(v):
    return (v + 2**31) % 2**32 - 2**31


def run_program(x):
    """Interpret `PROGRAM` as `stack_machine` does."""
    stack, pc = [x], 0
    while pc < len(PROGRAM):
        code, value = int(PROGRAM[pc]) & 255, int(PROGRAM[pc]) >> 8
        if code == 0:
            stack.append(value)
        elif code in {1, 2, 3}:
            b, a = stack.pop(), stack.pop()
            stack.append(wrapped({1: a + b, 2: a - b, 3: a * b}[code]))
        elif code == 4:
            stack.append(stack[-1])
        elif code == 5:
            stack[-2:] = stack[:-3:-1]
        elif code == 6:
            pc += value if stack.pop() > 0 else 0
        elif code == 7:
            stack[-1] = wrapped(-stack[-1])
        elif code == 8:
            stack[-1] = int(math.fmod(stack[-1], value))
        elif code == 9:
            stack[-1] ^= value
        else:
            stack[-1] = ~stack[-1]
        pc += 1
    return stack[-1]


def switched(v):  # noqa: PLR0911 - one for each case of the kernel's switch
    match v % 9:
        case 0:
            return v * v & M32
        case 1:
            return int(f"{v:032b}"[::-1], 2)
        case 2:
            return v // 7
        case 3:
            return v.bit_count() * 100 + 32 - v.bit_length() + 3
        case 4:
            return v + 3 & M32
        case 6:
            data = v.to_bytes(4, "little") + (0x12345678).to_bytes(4, "little")
            return int.from_bytes(bytes(data[k] for k in (0, 4, 1, 5)), "little")
        case 7:
            return (v << 9 | v >> 23) & M32
        case _:
            return (v & -v).bit_length() | 0x8000


def folded(x, size, step):
    total = 0
    for k in range(size):
        total = step(x[k : len(x) - size + 1 + k], total)
    return total


PARTICLE = np.dtype([("at", "f4", 3), ("speed", "f4", 3), ("kind", "i4")])
WORLD = np.dtype([("gravity", "f4"), ("dt", "f4"), ("steps", "i4"), ("bounce", "i2", 3), ("pad", "i2")], align=True)


def particles():
    start = np.zeros(N, PARTICLE)
    start["at"], start["speed"], start["kind"] = np.abs(random(9, N, 3)), random(10, N, 3), np.arange(N)
    end = start.copy()
    # Gravity, time steps and positions are such that single precision is exact.
    start["at"] = end["at"] = np.round(start["at"] * 16) / 16
    start["speed"] = end["speed"] = np.round(start["speed"] * 4) / 4
    for s in range(4):
        end["speed"][:, 2] -= np.float32(0.5) * np.float32(0.25)
        end["at"] += end["speed"] * np.float32(0.25)
        low = end["at"][:, 2] < 0
        end["at"][low, 2] *= -1
        end["speed"][low, 2] *= np.float32(-0.5)
        end["kind"][low] += (100, -3, 7)[s % 3]
    return start, end


def counted(seed):
    count, last, v = [0] * 64, [-1] * 64, seed & M32
    for k in range(100):
        v = v * 1664525 + 1013904223 & M32
        count[v >> 26] += 1
        last[v >> 26] = k
    best = max(range(64), key=lambda k: (count[k], last[k], -k))
    return best * 10000 + count[best] * 100 + last[best]


def inline(x, y, lane):
    both = x.to_bytes(4, "little") + y.to_bytes(4, "little")
    start = y & 31
    field, top = x >> start & 127, min(start + 6, 31)
    signed = field if not x >> top & 1 else (field | -(1 << (top - start + 1))) & M32
    c, d = 0x0F0F1234, 0x55550FFF
    shift = y & 31
    return [
        x >> 5 & 0x7FF, signed, y & ~0xFFF00 | (x & 0xFFF) << 8, int.from_bytes(bytes(both[k] for k in (5, 1, 7, 3)), "little"),
        x ^ y ^ c, x & y | ~x & d & M32, ((y << 32 | x) >> shift) & M32, ((x * y >> 32) + 9) & M32, abs(x - y) + 1 & M32,
        (x.bit_length() - 1) & M32, 17 if x < y else 4, x + y >> 32, (x & 0xFFFFFF) * (y & 0xFFFFFF) & M32, lane,
    ]  # fmt: skip


def wide(x, y):
    y |= 1
    signed = x - 2**64 if x >> 63 else x
    divisor = y >> 20 | 1
    quotient = abs(signed) // divisor * (1 if signed >= 0 else -1)
    turn = y & 63
    rotated = (x << turn | x >> (-y & 63)) & M64 if turn else x
    ranks = x.bit_count() * 1000 + (64 - x.bit_length()) * 10 + ((y & -y).bit_length() & 7)
    return [x * y >> 64, x // y, x % (y >> 40 | 1), quotient & M64, rotated, ranks, int(f"{x:064b}"[::-1], 2),
            (x * y + 12345) >> 37 & M64]  # fmt: skip


def escape_times(width, height, limit):
    cx = (-2.0 + np.arange(width) * (3.0 / width))[None] + np.zeros((height, 1))
    cy = (-1.25 + np.arange(height) * (2.5 / height))[:, None] + np.zeros((1, width))
    x, y, count = np.zeros_like(cx), np.zeros_like(cx), np.zeros(cx.shape, np.uint16)
    for _ in range(limit):
        live = x * x + y * y <= 4
        count += live
        x, y = np.where(live, x * x - y * y + cx, x), np.where(live, 2 * (x * y) + cy, y)
    return count


def swapped():
    data = FLOATS.view(np.uint8).reshape(-1, 4)[:, [3, 1, 2, 0]].copy()
    halves = data.view(np.uint16)
    halves[:, 1] *= 3
    return halves.copy().view(np.uint32).ravel()


def half_masks():
    a, b = HALF_A.reshape(-1, 2), HALF_B.reshape(-1, 2)
    greater = np.where(a > b, 0xFFFF, 0).astype(np.uint32)
    less = np.where(a <= b, 0x3C00, 0).astype(np.uint32)
    flags = (a == a).all(1) + 2 * (a < b).all(1) + 4 * np.isnan(a[:, 0])  # noqa: PLR0124 - not-a-number differs from itself
    return np.stack([greater[:, 0] | greater[:, 1] << 16, less[:, 0] | less[:, 1] << 16, flags], 1).astype(np.uint32)


def packed_bytes(x, y):
    a, b = (np.frombuffer(v.to_bytes(4, "little"), np.uint8).astype(int) for v in (x, y))
    p, q = (np.frombuffer(v.to_bytes(4, "little"), np.int16) for v in (x, y))
    lanes = [(a + b) & 255, abs(a - b), None, np.where(a > b, 255, 0), None, (a + b + 1) >> 1]
    words = [0 if v is None else int.from_bytes(v.astype(np.uint8).tobytes(), "little") for v in lanes]
    words[2] = int.from_bytes(np.maximum(p, q).tobytes(), "little")
    words[4] = int(abs(a - b).sum())
    return words


def directed(value, exact, direction):
    """Round exact doubles to single precision toward a direction, from the nearest `value`."""
    wrong = value > exact if direction < 0 else value < exact
    return np.where(wrong, np.nextafter(value, np.float32(direction * np.inf)), value)


def rounded():
    a, b = FLOATS.astype(np.float64), MORE.astype(np.float64)
    product = a * b
    down, up = (directed((a + b).astype(np.float32), a + b, sign) for sign in (-1, 1))
    short = (product.astype(np.float32), DOUBLES.astype(np.float32))
    toward = [np.where(np.abs(v) > np.abs(e), np.nextafter(v, np.float32(0)), v)
              for v, e in zip(short, (product, DOUBLES), strict=True)]  # fmt: skip
    tenfold = FLOATS * np.float32(10), MORE * np.float32(10)
    columns = [down, up, toward[0], FLOATS / MORE, np.sqrt(np.abs(FLOATS)), np.trunc(tenfold[0]),
               np.ceil(tenfold[0]) + np.floor(tenfold[1]), toward[1]]  # fmt: skip
    return np.stack(columns, 1).astype(np.float32)


def square_errors():
    """Return the rounding errors of squares by exact rational arithmetic."""
    from fractions import Fraction  # noqa: PLC0415

    return np.array([float(Fraction(v) ** 2 - Fraction(v * v)) for v in DOUBLES.tolist()])


TEXT = RNG.integers(0, 256, 700).astype(np.uint8)
STARTS = np.sort(RNG.integers(0, 700, 38)).astype(np.int32)
SUMS = [zlib.crc32(TEXT[a:b].tobytes()) for a, b in itertools.pairwise(STARTS)]
PARTICLES, MOVED = particles()
SETTINGS = np.array([(0.5, 0.25, 4, (100, -3, 7), 0)], WORLD)[0]
INDEX = np.arange(N)
TAPS = np.float32([0.1, -0.2, 0.5, 0.3, -0.7])
TABLE = np.arange(1, 13).reshape(4, 3)
WIDE_TABLE = (
    2**40 + np.array([97, 98, 99, 0])[INDEX % 4] + np.where(INDEX & 1, TABLE[3][INDEX % 3], TABLE[1][INDEX % 3])
)
Z, Y, X = np.mgrid[:5, :7, :13]
CUBE = (X + 100 * Y + 10000 * Z + 1000000 * (4 + 2 * 4 + 3 * 2 + 3)).astype(np.int32)
PRIMES = np.array([n > 1 and all(n % p for p in range(2, math.isqrt(n) + 1)) for n in range(32 * 32)])
PRIMES[:2] = True
THREADS = np.arange(96)
PARTS = DOUBLES[95::-1] + INTS[(THREADS + 5) % 96] * 2.0 + BYTES[(THREADS * 3) % 96]
FOLDED = folded(INTS.astype(np.int64), 5, lambda a, b: a * 3 + b * -7).astype(np.int32)
HALVED = folded(DOUBLES, 3, lambda a, b: 2 * a - b * 0.5)
QUEENS = np.array([1, 0, 0, 2, 10, 4, 40], np.int32)


def over(kernel, *arguments, **options):
    return Case(kernel, (blocks(N, 64),), (64,), (*arguments, COUNT), **options)


CASES = (
    over("recursion", Out(each(lambda i: fibonacci(i % 13), INDEX, dtype=np.int32)), archs=MODERN),
    Case("deep_recursion", (1,), (40,), (Out(np.uint32(2 * (np.arange(40) % 7) + 3)),)),
    Case("queens", (1,), (33,), (Out(QUEENS[np.arange(33) % 7]),)),
    Case("stack_machine", (4,), (64,), (PROGRAM, INTS, Out(each(run_program, INTS, dtype=np.int32)), np.int32(len(PROGRAM)),
                                        COUNT), archs=MODERN),
    over("divergent_switch", WORDS, Out(each(switched, WORDS)), archs=MODERN),
    Case("templates_and_lambdas", (1,), (199,), (INTS, DOUBLES, Out(FOLDED), close(HALVED[:199], 1e-14, 1e-14, dtype=np.float64),
                                                 np.int32(-7))),
    over("structures_by_value", Out(MOVED, initial=PARTICLES), SETTINGS),
    over("local_arrays", INTS, Out(each(counted, INTS, dtype=np.int32))),
    Case("shared_parts", (1,), (96,), (DOUBLES[:96], INTS[:96], BYTES[:96], Out(PARTS)), 96 * 13),
    over("constant_tables", Out(TAPS[INDEX % 5] * np.float32(TABLE[INDEX & 3, INDEX % 3] + 7)), Out(WIDE_TABLE), archs=MODERN),
    Case("grid_3d", (4, 4, 2), (4, 2, 3), (Out(CUBE), np.int32(13), np.int32(7), np.int32(5))),
    over("inline_ptx", WORDS, OTHERS, Out(each(inline, WORDS, OTHERS, INDEX % 32)), archs=MODERN),
    over("wide_integers", LONG_A, LONG_B, Out(each(wide, LONG_A, LONG_B, dtype=np.uint64))),
    over("greatest_common_divisor", LONG_A, LONG_B, Out(np.gcd(LONG_A, LONG_B))),
    Case("crc32_bytes", (1,), (64,), (TEXT, STARTS, Out(np.array(SUMS, np.uint32)), np.int32(37))),
    Case("mandelbrot", (3, 3), (16, 8), (Out(escape_times(41, 23, 60)), np.int32(41), np.int32(23), np.int32(60))),
    over("unions", FLOATS, Out(swapped())),
    over("half_masks", HALF_A, HALF_B, Out(half_masks()), archs=MODERN),
    over("simd_in_a_word", WORDS, OTHERS, Out(each(packed_bytes, WORDS, OTHERS)), archs=MODERN),
    Case("sieve", (1,), (96,), (Out(np.packbits(PRIMES, bitorder="little").view(np.uint32)), np.int32(1024)), 128),
    over("rounding_modes", FLOATS, MORE, Out(rounded()), DOUBLES, Out(square_errors())),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_language_feature(corpus, case):
    for arch in case.archs:
        for seed in case.seeds:
            check(case, corpus("language", arch), seed)
