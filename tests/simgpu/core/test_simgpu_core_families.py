"""Narrow floats, packed and video integers, bit searches, bfloat atomics: each against Python's own arithmetic."""

import itertools
import math

import numpy as np
import pytest

from simgpu import load_module

HEAD = ".version 8.8\n.target sm_90a\n.address_size 64\n"
RNG = np.random.default_rng(8)
WORDS = np.concatenate(
    [RNG.integers(0, 2**32, 200, dtype=np.uint32), np.array([0, 1, 2**31, 2**32 - 1, 0x7F80FF01], np.uint32)]
)
OTHERS = np.roll(WORDS[::-1], 3)
THIRDS = np.roll(WORDS, 11)
FORMATS = {"e4m3": (3, 7, 448.0), "e5m2": (2, 15, 57344.0)}


def decode(code, mantissa, bias):
    exponent, fraction = code >> mantissa & (1 << 7 - mantissa) - 1, code & (1 << mantissa) - 1
    if mantissa == 3 and code & 0x7F == 0x7F:
        return math.nan
    if mantissa == 2 and exponent == 31:
        return math.nan if fraction else math.copysign(math.inf, -1 if code & 0x80 else 1)
    size = fraction * 2.0 ** (1 - bias - mantissa)
    if exponent:
        size = (1 + fraction / 2**mantissa) * 2.0 ** (exponent - bias)
    return -size if code & 0x80 else size


@pytest.mark.parametrize("name", list(FORMATS))
def test_8_bit_floats(instruction, name):
    mantissa, bias, largest = FORMATS[name]
    pairs = np.arange(256, dtype=np.uint16) | np.roll(np.arange(256, dtype=np.uint16), 5) << 8
    got = instruction(f"cvt.rn.f16x2.{name}x2", "u32", ("u16", pairs)).view(np.float16).astype(np.float64)
    expected = [decode(int(pair) >> shift & 255, mantissa, bias) for pair in pairs for shift in (0, 8)]
    assert np.array_equal(got, expected, equal_nan=True)
    values = np.concatenate(
        [RNG.standard_normal(100) * 2.0 ** RNG.integers(-18, 18, 100), [0, -0.0, 1e9, -1e9, math.inf]]
    )
    table = [decode(code, mantissa, bias) for code in range(128)]
    ties = [(low + high) / 2 for low, high in itertools.pairwise(table) if math.isfinite(low) and math.isfinite(high)]
    values = np.concatenate([values, ties]).astype(np.float32)
    got = instruction(f"cvt.rn.satfinite.{name}x2.f32", "u16", ("f32", values), ("f32", -values))
    finite = [code for code in range(128) if math.isfinite(table[code])]
    for value, pair in zip(values, got, strict=True):
        size = min(abs(float(value)), largest)
        best = min(finite, key=lambda code: (abs(table[code] - size), code & 1))
        sign = 0x80 if np.signbit(value) else 0
        assert (int(pair) >> 8, int(pair) & 255) == (best | sign, best | sign ^ 0x80)


def test_tf32_rounds_ties_away_or_to_even(instruction):
    values = WORDS[np.isfinite(WORDS.view(np.float32))]
    for mode, bias in (
        ("rna", lambda _: 1 << 12),
        ("rn", lambda x: (1 << 12) - 1 + (x >> 13 & 1)),
        ("rz", lambda _: 0),
    ):
        got = instruction(f"cvt.{mode}.tf32.f32", "u32", ("u32", values))
        assert got.tolist() == [int(x) + bias(int(x)) & ~0x1FFF for x in values]


def pieces(word, width, *, signed=False):
    found = [int(word) >> start & (1 << width) - 1 for start in range(0, 32, width)]
    return [one - (1 << width) if signed and one >> width - 1 else one for one in found]


VIDEO = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "avrg": lambda a, b: (a + b + (a + b >= 0)) >> 1,
    "absdiff": lambda a, b: abs(a - b),
    "min": min,
    "max": max,
}


@pytest.mark.parametrize("kind", ["s32", "u32"])
@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("name", list(VIDEO))
def test_video(instruction, name, count, kind):
    width, signed = 32 // count, kind == "s32"
    sources = (("u32", WORDS), ("u32", OTHERS), ("u32", THIRDS))
    kinds = f"{kind}.{kind}.{kind}"
    plain = instruction(f"v{name}{count}.{kinds}", "u32", *sources)
    clamped = instruction(f"v{name}{count}.{kinds}.sat", "u32", *sources)
    summed = instruction(f"v{name}{count}.{kinds}.add", "u32", *sources)
    low, high = (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
    for place, (a, b, c) in enumerate(zip(WORDS, OTHERS, THIRDS, strict=True)):
        values = [
            VIDEO[name](x, y)
            for x, y in zip(pieces(a, width, signed=signed), pieces(b, width, signed=signed), strict=True)
        ]
        assert pieces(plain[place], width) == [value % (1 << width) for value in values]
        assert pieces(clamped[place], width, signed=signed) == [min(max(value, low), high) for value in values]
        assert int(summed[place]) == (int(c) + sum(values)) % 2**32


@pytest.mark.parametrize("name", ["add", "min", "max"])
@pytest.mark.parametrize("kind", ["s16x2", "u16x2"])
def test_packed_integers(instruction, name, kind):
    got = instruction(f"{name}.{kind}", "u32", ("u32", WORDS), ("u32", OTHERS))
    for value, a, b in zip(got, WORDS, OTHERS, strict=True):
        signed = kind[0] == "s"
        expected = [
            VIDEO[name](x, y) % 2**16
            for x, y in zip(pieces(a, 16, signed=signed), pieces(b, 16, signed=signed), strict=True)
        ]
        assert pieces(value, 16) == expected


MODES = {
    "f4e": lambda s: [s, s + 1, s + 2, s + 3], "b4e": lambda s: [s, s - 1, s - 2, s - 3],
    "rc8": lambda s: [s] * 4, "ecl": lambda s: [max(byte, s) for byte in range(4)],
    "ecr": lambda s: [min(byte, s) for byte in range(4)], "rc16": lambda s: [s % 2 * 2, s % 2 * 2 + 1] * 2,
}  # fmt: skip


@pytest.mark.parametrize("mode", list(MODES))
def test_prmt_modes(instruction, mode):
    selector = np.arange(len(WORDS), dtype=np.uint32)
    got = instruction(f"prmt.b32.{mode}", "u32", ("u32", WORDS), ("u32", OTHERS), ("u32", selector))
    for value, a, b, s in zip(got, WORDS, OTHERS, selector, strict=True):
        pool = (int(a) | int(b) << 32).to_bytes(8, "little")
        assert int(value).to_bytes(4, "little") == bytes(pool[byte % 8] for byte in MODES[mode](int(s) % 4))


def test_fns(instruction):
    start = RNG.integers(0, 32, len(WORDS), dtype=np.uint32)
    count = RNG.integers(-6, 7, len(WORDS)).astype(np.int32)
    masks = WORDS & OTHERS
    got = instruction("fns.b32", "u32", ("u32", masks), ("u32", start), ("s32", count))
    for value, mask, at, n in zip(got, masks, start, count, strict=True):
        order = range(at, 32) if n > 0 else range(at, -1, -1)
        found = [place for place in (order if n else [at]) if int(mask) >> int(place) & 1]
        wanted = abs(int(n)) or 1
        assert int(value) == (found[wanted - 1] if len(found) >= wanted else 2**32 - 1)


@pytest.mark.parametrize("kind", ["s32", "u32"])
@pytest.mark.parametrize("mode", ["clamp", "wrap"])
def test_szext(instruction, mode, kind):
    bits = RNG.integers(0, 40, len(WORDS), dtype=np.uint32)
    got = instruction(f"szext.{mode}.{kind}", "u32", ("u32", WORDS), ("u32", bits))
    for value, word, n in zip(got, WORDS, bits, strict=True):
        size = int(n) % 32 if mode == "wrap" else min(int(n), 32)
        low = int(word) & (1 << size) - 1
        if kind == "s32" and size and low >> size - 1:
            low -= 1 << size
        assert int(value) == low % 2**32


def test_cvt_pack(instruction):
    got = instruction("cvt.pack.sat.s16.s32", "u32", ("u32", WORDS), ("u32", OTHERS))
    low, high = (np.clip(words.view(np.int32), -(2**15), 2**15 - 1) for words in (OTHERS, WORDS))
    assert got.tolist() == [(int(x) % 2**16) | (int(y) % 2**16) << 16 for x, y in zip(low, high, strict=True)]


def bfloat(values):
    """Round to nearest, even on a tie."""
    bits = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> np.uint64(16) & np.uint64(1))) >> np.uint64(16)).astype(np.uint16)


@pytest.mark.parametrize(
    ("operation", "operand"),
    [
        ("red.global.add.noftz.bf16x2", "%v"),
        ("red.global.add.noftz.bf16", "%h"),
        ("red.global.v2.bf16x2.add.noftz", "{%v, %v}"),
    ],
)
def test_bfloat_sums(card, operation, operand):
    """Lanes add in order, each sum rounded."""
    text = f"""{HEAD}.visible .entry k(.param .u64 p0, .param .u64 p1) {{
      .reg .b32 %t, %v; .reg .b16 %h, %i; .reg .b64 %p, %q; mov.u32 %t, %tid.x; ld.param.u64 %p, [p0];
      mad.wide.u32 %q, %t, 4, %p; ld.global.b32 %v, [%q]; mov.b32 {{%h, %i}}, %v;
      ld.param.u64 %p, [p1]; {operation} [%p], {operand}; ret; }}"""
    pairs = bfloat(RNG.standard_normal((32, 2)) * 3)
    out = np.zeros(4, np.uint16)
    target = card.put(out)
    assert card.run(load_module(text), "k", (1,), (32,), card.put(pairs), target).ok
    sums = np.zeros(2, np.uint16)
    for pair in pairs:
        wide = [(half.astype(np.uint32) << 16).view(np.float32) for half in (sums, pair)]
        sums = bfloat(wide[0] + wide[1])
    used = {"%v": [*sums, 0, 0], "%h": [sums[0], 0, 0, 0]}.get(operand, [*sums, *sums])
    assert card.get(target, out).tolist() == [int(x) for x in used]
