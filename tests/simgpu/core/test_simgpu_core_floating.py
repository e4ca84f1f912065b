"""Floating-point instructions against exact fractions and numpy, bit for bit where PTX promises that."""

import math
from fractions import Fraction

import numpy as np
import pytest

np.seterr(all="ignore")
SPECIALS = [0.0, -0.0, 1.0, -1.0, 1.5, 0.1, math.inf, -math.inf, math.nan, 1e-45, -1e-45, 1.1754944e-38, 3.4028235e38, -3.4028235e38,
            65504.0, 65520.0, 6e-8, 2.0**-14, 2.0**-25, 1e30, -1e-30, 16777217.0, 0.333333343]  # fmt: skip


def floats(dtype=np.float32, seed=0, count=233):
    rng = np.random.default_rng(seed)
    random = (rng.standard_normal(count) * 2.0 ** rng.integers(-40, 40, count)).tolist()
    bits = rng.integers(0, 2**32, 64, dtype=np.uint32).view(np.float32).astype(float).tolist()
    values = np.array([*SPECIALS, *random, *bits], np.float64)
    rng.shuffle(values)
    return values.astype(dtype)


def same(got, expected):
    """Equal bits, any not-a-number equal to any other."""
    width = f"u{got.dtype.itemsize}"
    expected = expected.astype(got.dtype)
    equal = (got.view(width) == expected.view(width)) | (np.isnan(got) & np.isnan(expected))
    wrong = np.flatnonzero(~equal)
    assert not len(wrong), [(int(i), got[i], expected[i]) for i in wrong[:5]]


def directed(exact, mode):
    """Round a fraction to single precision in a direction; no overflow."""
    near = np.float32(float(exact)) if abs(exact) < Fraction(2) ** 128 else np.float32(math.copysign(math.inf, exact))
    value = Fraction(float(near)) if np.isfinite(near) else None
    down, up = np.nextafter(near, np.float32(-math.inf)), np.nextafter(near, np.float32(math.inf))
    above = value > exact if value is not None else near > 0
    below = value < exact if value is not None else near < 0
    if mode == "rz":
        mode = "rm" if exact > 0 else "rp"
    if mode == "rm":
        return down if above else near
    return up if below else near


BASIC = {"add": np.add, "sub": np.subtract, "mul": np.multiply}


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("name", list(BASIC))
def test_rounded_to_nearest(instruction, name, kind):
    dtype = np.float32 if kind == "f32" else np.float64
    a, b = floats(dtype, 1), floats(dtype, 2)
    same(instruction(f"{name}.rn.{kind}", kind, (kind, a), (kind, b)), BASIC[name](a, b))


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_division_and_roots(instruction, kind):
    dtype = np.float32 if kind == "f32" else np.float64
    a, b = floats(dtype, 1), floats(dtype, 2)
    same(instruction(f"div.rn.{kind}", kind, (kind, a), (kind, b)), a / b)
    same(instruction(f"sqrt.rn.{kind}", kind, (kind, a)), np.sqrt(a))
    same(instruction(f"rcp.rn.{kind}", kind, (kind, a)), dtype(1) / a)


@pytest.mark.parametrize("mode", ["rz", "rm", "rp"])
@pytest.mark.parametrize("name", ["add", "mul", "fma"])
def test_directed_rounding_is_exact(instruction, name, mode):
    a, b, c = (x[np.isfinite(x)][:200] for x in (floats(seed=s) for s in (1, 2, 3)))
    c[:100] = -(a[:100].astype(np.float64) * b[:100]).astype(np.float32)  # near cancellation
    c[~np.isfinite(c)] = 0
    inputs = [("f32", a), ("f32", b)] + ([("f32", c)] if name == "fma" else [])
    got = instruction(f"{name}.{mode}.f32", "f32", *inputs)
    for place, value in enumerate(got):
        x, y, z = (Fraction(float(v[place])) for v in (a, b, c))
        exact = x * y + z if name == "fma" else x * y if name == "mul" else x + y
        if exact:
            assert value == directed(exact, mode), (place, a[place], b[place], c[place])


def test_fma_rounds_once(instruction):
    a, b, c = floats(seed=1), floats(seed=2), floats(seed=3)
    got = instruction("fma.rn.f32", "f32", ("f32", a), ("f32", b), ("f32", c))
    finite = np.flatnonzero(np.isfinite(a) & np.isfinite(b) & np.isfinite(c))
    for place in finite:
        exact = Fraction(float(a[place])) * Fraction(float(b[place])) + Fraction(float(c[place]))
        if not exact or abs(exact) >= Fraction(2) ** 127:
            continue
        low, high = directed(exact, "rm"), directed(exact, "rp")
        gaps = [abs(Fraction(float(x)) - exact) for x in (low, high)]
        assert abs(Fraction(float(got[place])) - exact) == min(gaps)


def test_ftz_flushes_inputs_and_results(instruction):
    a = np.array([1e-45, -1e-45, 1.2e-38, 1e-30, 2e-20], np.float32)
    b = np.array([1.0, 1.0, 0.5, 1e-10, 1e-20], np.float32)
    same(
        instruction("mul.ftz.f32", "f32", ("f32", a), ("f32", b)),
        np.array([0.0, -0.0, 0.0, 0.0, 2e-40 * 0], np.float32),
    )
    same(instruction("mul.f32", "f32", ("f32", a), ("f32", b)), a * b)


def test_saturation(instruction):
    a, b = floats(seed=1), floats(seed=2)
    expected = np.clip(np.nan_to_num(a + b, nan=0.0, posinf=2.0, neginf=-2.0), 0, 1) + np.float32(0)
    same(instruction("add.sat.f32", "f32", ("f32", a), ("f32", b)), expected)


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_min_and_max_prefer_numbers(instruction, kind):
    dtype = np.float32 if kind == "f32" else np.float64
    a, b = floats(dtype, 1), floats(dtype, 2)
    got = instruction(f"max.{kind}", kind, (kind, a), (kind, b))
    assert np.array_equal(got, np.fmax(a, b), equal_nan=True)
    got = instruction(f"min.{kind}", kind, (kind, a), (kind, b))
    assert np.array_equal(got, np.fmin(a, b), equal_nan=True)
    if kind == "f32":
        assert np.array_equal(instruction("max.NaN.f32", kind, (kind, a), (kind, b)), np.maximum(a, b), equal_nan=True)


def test_signs(instruction):
    a, b = floats(seed=1), floats(seed=2)
    same(instruction("abs.f32", "f32", ("f32", a)), np.abs(a))
    same(instruction("neg.f32", "f32", ("f32", a)), -a)
    same(instruction("copysign.f32", "f32", ("f32", a), ("f32", b)), np.copysign(b, a))


def ulps(got, expected):
    scale = np.spacing(np.abs(expected.astype(np.float32))).astype(np.float64)
    return np.abs(got.astype(np.float64) - expected) / scale


def test_approximations_keep_their_documented_errors(instruction):
    x = np.linspace(-149, 127.99, 4096).astype(np.float32)
    assert ulps(instruction("ex2.approx.f32", "f32", ("f32", x)), np.exp2(x.astype(np.float64))).max() <= 2
    y = np.exp(np.linspace(-100, 88, 4096)).astype(np.float32)
    got = instruction("lg2.approx.f32", "f32", ("f32", y))
    exact = np.log2(y.astype(np.float64))
    assert (np.abs(got - exact) <= np.maximum(2.0**-22, 2.0**-22 * np.abs(exact))).all()
    z = np.linspace(-math.pi, math.pi, 4096).astype(np.float32)
    assert np.abs(instruction("sin.approx.f32", "f32", ("f32", z)) - np.sin(z.astype(np.float64))).max() < 2.0**-21
    assert np.abs(instruction("cos.approx.f32", "f32", ("f32", z)) - np.cos(z.astype(np.float64))).max() < 2.0**-21
    t = np.concatenate([z * 3, np.float32(10.0) ** np.arange(-30, 5, dtype=np.float32)])
    got, exact = instruction("tanh.approx.f32", "f32", ("f32", t)), np.tanh(t.astype(np.float64))
    assert (np.abs(got - exact) <= 2.0**-11 * np.abs(exact)).all()


def test_approximations_at_the_limits(instruction):
    x = np.array([math.inf, -math.inf, math.nan, 0.0, -0.0, -1.0, 1e-45, 128.0, -150.0], np.float32)
    same(instruction("ex2.approx.f32", "f32", ("f32", x)), np.exp2(x))
    same(instruction("lg2.approx.f32", "f32", ("f32", x)), np.log2(x))
    same(instruction("rcp.approx.f32", "f32", ("f32", x)), np.float32(1) / x)
    same(instruction("rsqrt.approx.f32", "f32", ("f32", x)), np.float32(1) / np.sqrt(x))


def test_half_arithmetic_rounds_once(instruction):
    a, b, c = (floats(np.float16, s) for s in (1, 2, 3))
    same(instruction("add.f16", "f16", ("f16", a), ("f16", b)), (a.astype(np.float64) + b).astype(np.float16))
    same(instruction("mul.f16", "f16", ("f16", a), ("f16", b)), (a.astype(np.float64) * b).astype(np.float16))
    got = instruction("fma.rn.f16", "f16", ("f16", a), ("f16", b), ("f16", c))
    exact = a.astype(np.longdouble) * b + c.astype(np.longdouble)
    same(got, exact.astype(np.float16))


def test_packed_halves(instruction):
    a, b, c = (floats(np.float16, s, 232)[:300].copy() for s in (1, 2, 3))
    pairs = [("b32", x.view(np.uint32)) for x in (a, b, c)]
    got = instruction("fma.rn.f16x2", "f16x2", *pairs).view(np.float16)
    same(got, (a.astype(np.longdouble) * b + c.astype(np.longdouble)).astype(np.float16))
    got = instruction("max.f16x2", "f16x2", *pairs[:2]).view(np.float16)
    assert np.array_equal(got, np.fmax(a, b), equal_nan=True)


def to_bf16(x):
    """Round single precision to bfloat16, as bits."""
    bits = x.astype(np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + (bits >> np.uint64(16) & np.uint64(1)) >> np.uint64(16)).astype(np.uint16)
    return np.where(np.isnan(x), np.uint16(0x7FFF), rounded)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def test_bfloat_arithmetic(instruction):
    a, b, c = (to_bf16(floats(seed=s)) for s in (1, 2, 3))
    x, y, z = (from_bf16(v) for v in (a, b, c))
    got = from_bf16(instruction("add.bf16", "bf16", ("bf16", a), ("bf16", b)))
    same(got, from_bf16(to_bf16(x + y)))
    got = from_bf16(instruction("fma.rn.bf16", "bf16", ("bf16", a), ("bf16", b), ("bf16", c)))
    exact = x.astype(np.longdouble) * y + z.astype(np.longdouble)
    near = from_bf16(to_bf16(exact.astype(np.float32)))
    ok = (got == near) | (np.isnan(got) & np.isnan(near))
    gap = np.abs(got.astype(np.longdouble) - exact) <= np.abs(near.astype(np.longdouble) - exact)
    assert (ok | gap).all()


@pytest.mark.parametrize("mode", ["rni", "rzi", "rmi", "rpi"])
@pytest.mark.parametrize("target", ["s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64"])
def test_float_to_integer_clamps(instruction, mode, target):
    a = np.concatenate(
        [floats(seed=1), np.array([0.5, 1.5, 2.5, -0.5, -1.5, 2147483648.0, 4294967296.0, -129.0, 255.5], np.float32)]
    )
    bits = int(target[1:])
    out = "b32" if bits < 32 else target
    got = instruction(f"cvt.{mode}.{target}.f32", {8: "u16", 16: "u16"}.get(bits, out), ("f32", a))
    rounding = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}[mode]
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if target[0] == "s" else (0, (1 << bits) - 1)
    invalid = 1 << bits - 1 if bits == 64 else 0
    for given, value in zip(a, got, strict=True):
        exact = (
            invalid
            if np.isnan(given)
            else min(
                max(int(rounding(float(given))) if np.isfinite(given) else int(math.copysign(2**70, given)), low), high
            )
        )
        assert int(value) % (1 << bits) == exact % (1 << bits), (given, value, exact)


@pytest.mark.parametrize("given", ["s32", "u32", "s64", "u64", "s16", "u16"])
def test_integer_to_float(instruction, given):
    dtype = np.dtype({"s": "i", "u": "u"}[given[0]] + str(int(given[1:]) // 8))
    info = np.iinfo(dtype)
    a = np.concatenate(
        [np.random.default_rng(1).integers(info.min, info.max, 200, dtype), np.array([info.min, info.max, 0, 1], dtype)]
    )
    same(instruction(f"cvt.rn.f32.{given}", "f32", (given, a)), a.astype(np.float32))
    if dtype.itemsize < 8:
        got = instruction(f"cvt.rm.f32.{given}", "f32", (given, a))
        assert all(Fraction(float(x)) <= int(y) for x, y in zip(got, a, strict=True))
        assert all(Fraction(float(np.nextafter(x, np.float32(math.inf)))) > int(y) for x, y in zip(got, a, strict=True))


@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
def test_double_to_single(instruction, mode):
    a = np.random.default_rng(5).standard_normal(300) * 2.0 ** np.random.default_rng(6).integers(-150, 120, 300)
    got = instruction(f"cvt.{mode}.f32.f64", "f32", ("f64", a))
    if mode == "rn":
        same(got, a.astype(np.float32))
    else:
        assert all(x == directed(Fraction(float(y)), mode) for x, y in zip(got, a, strict=True))


def test_single_to_half_and_back(instruction):
    a = floats(seed=4)
    same(instruction("cvt.rn.f16.f32", "f16", ("f32", a)), a.astype(np.float16))
    assert np.array_equal(
        from_bf16(instruction("cvt.rn.bf16.f32", "bf16", ("f32", a))), from_bf16(to_bf16(a)), equal_nan=True
    )
    h = floats(np.float16, 5)
    same(instruction("cvt.f32.f16", "f32", ("f16", h)), h.astype(np.float32))
    d = np.random.default_rng(8).standard_normal(300)
    same(instruction("cvt.rn.f16.f64", "f16", ("f64", d)), d.astype(np.float16))
    towards = instruction("cvt.rz.f16.f32", "f16", ("f32", a))
    finite = np.isfinite(a)
    assert (np.abs(towards[finite].astype(np.float64)) <= np.abs(a[finite].astype(np.float64))).all()


def test_packing_two_singles(instruction):
    a, b = floats(seed=1), floats(seed=2)
    got = instruction("cvt.rn.f16x2.f32", "f16x2", ("f32", a), ("f32", b)).view(np.float16).reshape(-1, 2)
    same(got[:, 1].copy(), a.astype(np.float16))
    same(got[:, 0].copy(), b.astype(np.float16))


@pytest.mark.parametrize("mode", ["rni", "rzi", "rmi", "rpi"])
def test_rounding_to_integral_and_saturation(instruction, mode):
    a = floats(seed=9)
    rounding = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}[mode]
    same(instruction(f"cvt.{mode}.f32.f32", "f32", ("f32", a)), rounding(a))
    expected = np.clip(np.nan_to_num(a, nan=0.0, posinf=2.0, neginf=-2.0), 0, 1) + np.float32(0)
    same(instruction("cvt.sat.f32.f32", "f32", ("f32", a)), expected)


def test_integer_conversions_extend_truncate_and_saturate(instruction):
    a = np.random.default_rng(1).integers(-(2**31), 2**31, 300, np.int64).astype(np.int32)
    assert instruction("cvt.s64.s32", "s64", ("s32", a)).tolist() == a.tolist()
    assert instruction("cvt.u64.u32", "u64", ("u32", a.view(np.uint32))).tolist() == a.view(np.uint32).tolist()
    assert instruction("cvt.sat.s8.s32", "b32", ("s32", a)).view(np.int32).tolist() == np.clip(a, -128, 127).tolist()
    assert instruction("cvt.sat.u8.s32", "b32", ("s32", a)).tolist() == np.clip(a, 0, 255).tolist()
    assert instruction("cvt.s32.s8", "s32", ("u32", a.view(np.uint32))).tolist() == a.astype(np.int8).tolist()
