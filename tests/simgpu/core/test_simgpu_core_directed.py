"""Directed rounding of double precision and of 64-bit integers, bit for bit, against exact fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest

MODES = ["rz", "rm", "rp"]
EDGES = [
    0.0, -0.0, 1.0, -1.0, 3.0, 1 / 3, 5e-324, -5e-324, 2.0**-1022, -(2.0**-1022), 2.0**-1074 * 3, 1.7976931348623157e308,
    -1.7976931348623157e308, math.inf, -math.inf, math.nan, 2.0**-537, 2.0**-600, 2.0**600, 1 + 2.0**-52, 1 - 2.0**-53,
]  # fmt: skip


def doubles(seed):
    """Edges, ordinary numbers, and numbers of any exponent."""
    rng = np.random.default_rng(seed)
    wild = rng.integers(0, 2**64, 150, dtype=np.uint64).view(np.float64)
    tame = rng.standard_normal(100)
    tiny = rng.standard_normal(60) * 2.0 ** rng.integers(-1074, -1000, 60)
    values = np.concatenate([np.resize(EDGES, 42), wild, tame, tiny])
    rng.shuffle(values)
    return values


def bits(value):
    return int(np.float64(value).view(np.int64))


def rounded(exact, mode, precision=53, least=-1074, most=1.7976931348623157e308):
    """Round a fraction that is not zero to a binary float."""
    size = abs(exact)
    exponent = math.floor(math.log2(size.numerator) - math.log2(size.denominator)) if size else 0
    while Fraction(2) ** (exponent + 1) <= size:
        exponent += 1
    while Fraction(2) ** exponent > size:
        exponent -= 1
    step = Fraction(2) ** max(exponent - precision + 1, least)
    down = mode == "rz" or (mode == "rm") is (exact > 0)
    steps = math.floor(size / step) if down else math.ceil(size / step)
    result = steps * step
    if result > Fraction(most):
        return math.copysign(most if down else math.inf, 1 if exact > 0 else -1)
    return math.copysign(float(result), 1 if exact > 0 else -1)


def finite(*values):
    return all(math.isfinite(value) for value in values)


def check(got, nearest, exact, mode, *, zero=None):
    """`exact` is the fraction, or None where the result has no rounding: then it is the nearest one."""
    for place, (value, near, true) in enumerate(zip(got, nearest, exact, strict=True)):
        if true is None:
            expected = near
        elif true == 0:
            expected = near if zero is None else zero(place)
        else:
            expected = rounded(true, mode)
        same = bits(value) == bits(expected) or (math.isnan(value) and math.isnan(expected))
        assert same, (place, value, expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_two_operands(instruction, name, mode):
    a, b = doubles(1), doubles(2)
    if name == "add":
        b[:40] = -a[:40]
    got = instruction(f"{name}.{mode}.f64", "f64", ("f64", a), ("f64", b))
    exact = []
    for x, y in zip(a, b, strict=True):
        if not finite(x, y) or (name == "div" and y == 0):
            exact.append(None)
            continue
        p, q = Fraction(x), Fraction(y)
        exact.append({"add": p + q, "sub": p - q, "mul": p * q}[name] if name != "div" else p / q)
    with np.errstate(all="ignore"):
        nearest = {"add": a + b, "sub": a - b, "mul": a * b, "div": a / b}[name]

    def zero(place):
        left, right = a[place], b[place] if name == "add" else -b[place]
        if name in {"mul", "div"}:
            return nearest[place]
        both_positive = bits(left) >= 0 and bits(right) >= 0
        both_negative = bits(left) < 0 and bits(right) < 0
        return -0.0 if both_negative or (mode == "rm" and not both_positive) else 0.0

    check(got, nearest, exact, mode, zero=zero)


@pytest.mark.parametrize("mode", MODES)
def test_fused_multiply_add(instruction, mode):
    rng = np.random.default_rng(5)
    a, b, c = doubles(1), doubles(2), doubles(3)
    with np.errstate(all="ignore"):
        c[:120] = -(a * b)[:120] * (1 + rng.integers(-2, 3, 120) * 2.0**-52)
        c[120:180] = (a * b)[120:180] * 2.0 ** rng.integers(-110, 110, 60)
    got = instruction(f"fma.{mode}.f64", "f64", ("f64", a), ("f64", b), ("f64", c))
    exact = [
        Fraction(x) * Fraction(y) + Fraction(z) if finite(x, y, z) else None for x, y, z in zip(a, b, c, strict=True)
    ]
    with np.errstate(all="ignore"):
        nearest = np.where(np.isfinite(a) & np.isfinite(b) & ~np.isfinite(c), c, a * b + c)
    kept = [place for place, value in enumerate(exact) if value is None or value != 0]
    check(got[kept], nearest[kept], [exact[place] for place in kept], mode)


@pytest.mark.parametrize("mode", MODES)
def test_reciprocal_and_root(instruction, mode):
    a = doubles(4)
    got = instruction(f"rcp.{mode}.f64", "f64", ("f64", a))
    with np.errstate(all="ignore"):
        check(got, 1 / a, [1 / Fraction(x) if finite(x) and x else None for x in a], mode)
    got = instruction(f"sqrt.{mode}.f64", "f64", ("f64", a))
    for value, x in zip(got, a, strict=True):
        if not finite(x) or x <= 0:
            continue
        low = rounded_root(Fraction(x), up=mode == "rp")
        assert bits(value) == bits(low), x


def rounded_root(square, *, up):
    scale = 2 ** (2 * 1200)
    whole = math.isqrt(square.numerator * scale // square.denominator)
    exact = Fraction(whole, 2**1200)
    if exact**2 != square and up:
        exact += Fraction(1, 2**1200)
    return rounded(exact, "rp" if up else "rz")


@pytest.mark.parametrize("mode", ["rn", *MODES])
@pytest.mark.parametrize("kind", ["s64", "u64"])
def test_integers(instruction, kind, mode):
    rng = np.random.default_rng(6)
    values = rng.integers(0, 2**64, 200, dtype=np.uint64) >> rng.integers(0, 60, 200).astype(np.uint64)
    edges = [0, 1, 2**24, 2**24 + 1, 2**53 + 1, 2**53 - 1, 2**63, 2**63 - 1, 2**64 - 1, 2**64 - 2**10, 2**63 + 1]
    values = np.concatenate([values, np.array(edges, np.uint64)])
    numbers = [int(x) for x in (values.view(np.int64) if kind == "s64" else values)]
    got = instruction(f"cvt.{mode}.f64.{kind}", "f64", ("u64", values))
    assert got.tolist() == [float(x) if mode == "rn" or x == 0 else rounded(Fraction(x), mode) for x in numbers]
    if mode == "rn":
        return
    got = instruction(f"cvt.{mode}.f32.{kind}", "f32", ("u64", values))
    expected = [0.0 if x == 0 else rounded(Fraction(x), mode, 24, -149, 3.4028234663852886e38) for x in numbers]
    assert got.tolist() == expected


@pytest.mark.parametrize(("left", "right"), [(1.0, -1.0), (0.0, 0.0), (0.0, -0.0), (-0.0, -0.0), (-2.5, 2.5)])
def test_a_zero_sum_rounded_down_is_negative(instruction, left, right):
    a, b = (np.full(8, value, np.float32) for value in (left, right))
    got = instruction("add.rm.f32", "f32", ("f32", a), ("f32", b))
    assert got[0] == 0
    assert np.signbit(got[0]) == (np.signbit(a[0]) or np.signbit(b[0]))
