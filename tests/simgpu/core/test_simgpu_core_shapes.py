"""Every shape and type of `mma` and `wmma`, and the moves of 8x8 matrices, against numpy's products."""

import re

import numpy as np
import pytest

from simgpu import load_module

HEAD = ".version 8.8\n.target sm_90a\n.address_size 64\n"
BITS = {"f64": 64, "tf32": 32, "f32": 32, "s32": 32, "f16": 16, "bf16": 16, "s8": 8, "u8": 8, "e4m3": 8, "e5m2": 8,
        "s4": 4, "u4": 4, "b1": 1}  # fmt: skip


def decode_eight(code, mantissa, bias):
    exponent, fraction = code >> mantissa & (1 << 7 - mantissa) - 1, code & (1 << mantissa) - 1
    size = fraction * 2.0 ** (1 - bias - mantissa)
    if exponent:
        size = (1 + fraction / 2**mantissa) * 2.0 ** (exponent - bias)
    return -size if code & 0x80 else size


def draw(kind, shape, rng):
    """Return codes of a type, as integers, and the values that they stand for."""
    bits = BITS[kind]
    if kind[0] == "e":
        codes = rng.integers(0, 128, shape) % 0x70 | rng.integers(0, 2, shape) << 7
        decode = np.vectorize(lambda code: decode_eight(int(code), *((3, 7) if kind == "e4m3" else (2, 15))))
        return codes, decode(codes)
    if kind[0] in "sub" and kind != "bf16":
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if kind[0] == "s" else (0, 2**bits)
        values = rng.integers(*((-99, 99) if kind == "s32" else (low, high)), shape)
        return values % (1 << bits), values
    values = rng.integers(-8, 9, shape) / 4
    if kind == "f64":
        return values.view(np.uint64).astype(object), values
    single = values.astype(np.float32).view(np.uint32).astype(np.int64)
    return {"bf16": single >> 16, "f16": values.astype(np.float16).view(np.uint16).astype(np.int64)}.get(
        kind, single
    ), values


def fragment(codes, kind, role, lane):
    """Return a lane's registers, by the manual's figures of matrix fragments."""
    g, t = divmod(lane, 4)
    bits = BITS[kind]
    per = max(32 // bits, 1)
    rows, columns = codes.shape
    if role == "a":
        halves = rows // 8
        places = [
            (g + 8 * (r % halves), (r // halves * 4 + t) * per + e)
            for r in range(halves * columns // (4 * per)) for e in range(per)
        ]  # fmt: skip
    elif role == "b":
        places = [((r * 4 + t) * per + e, g) for r in range(rows // (4 * per)) for e in range(per)]
    else:
        places = [(g + 8 * half, 2 * t + side) for half in range(rows // 8) for side in range(2)]
    elements = [int(codes[place]) for place in places]
    return [
        sum(one << bits * e for e, one in enumerate(elements[at : at + per])) for at in range(0, len(elements), per)
    ]


MMA = [
    "m8n8k4.row.col.f64.f64.f64.f64",
    "m16n8k4.row.col.f64.f64.f64.f64",
    "m16n8k8.row.col.f64.f64.f64.f64",
    "m16n8k16.row.col.f64.f64.f64.f64",
    "m16n8k4.row.col.f32.tf32.tf32.f32",
    "m16n8k8.row.col.f32.tf32.tf32.f32",
    "m16n8k8.row.col.f32.bf16.bf16.f32",
    "m16n8k8.row.col.f16.f16.f16.f16",
    "m16n8k16.row.col.s32.s8.u8.s32",
    "m16n8k32.row.col.s32.u8.u8.s32",
    "m8n8k16.row.col.s32.s8.s8.s32",
    "m8n8k32.row.col.s32.s4.u4.s32",
    "m16n8k32.row.col.s32.u4.u4.s32",
    "m16n8k64.row.col.s32.s4.s4.s32",
    "m8n8k128.row.col.s32.b1.b1.s32.xor.popc",
    "m16n8k128.row.col.s32.b1.b1.s32.and.popc",
    "m16n8k256.row.col.s32.b1.b1.s32.xor.popc",
    "m16n8k32.row.col.f32.e4m3.e4m3.f32",
    "m16n8k32.row.col.f32.e4m3.e5m2.f32",
    "m16n8k32.row.col.f32.e5m2.e5m2.f32",
]


def product(a, b, form):
    if ".popc" in form:
        joined = a[:, :, None].astype(int) ^ b[None] if "xor" in form else a[:, :, None].astype(int) & b[None]
        return joined.sum(1)
    return a.astype(np.float64) @ b.astype(np.float64)


@pytest.mark.parametrize("form", MMA)
def test_mma(card, form):
    rows, columns, depth = map(int, re.match(r"m(\d+)n(\d+)k(\d+)", form).groups())
    kinds = dict(zip("dabc", form.split(".")[3:7], strict=True))
    rng = np.random.default_rng(3)
    shapes = {"a": (rows, depth), "b": (depth, columns), "c": (rows, columns)}
    drawn = {role: draw(kinds[role], shape, rng) for role, shape in shapes.items()}
    word = 64 if kinds["a"] == "f64" else 32
    registers = {
        role: [fragment(codes, kinds[role], role, lane) for lane in range(32)] for role, (codes, _) in drawn.items()
    }
    counts = {role: len(lanes[0]) for role, lanes in registers.items()} | {"d": len(registers["c"][0])}
    lines, names = [], {}
    for place, role in enumerate("abc"):
        names[role] = [f"%{role}{number}" for number in range(counts[role])]
        lines.append(
            f"mul.lo.u32 %o, %t, {counts[role] * word // 8}; ld.param.u64 %p, [p{place}]; cvt.u64.u32 %q, %o; add.u64 %p, %p, %q;"
        )
        lines += [f"ld.global.b{word} {name}, [%p+{number * word // 8}];" for number, name in enumerate(names[role])]
    names["d"] = [f"%d{number}" for number in range(counts["d"])]
    declared = " ".join(f".reg .b{word} {', '.join(group)};" for group in names.values())
    operands = ", ".join("{" + ", ".join(names[role]) + "}" for role in "dabc")
    stores = " ".join(f"st.global.b{word} [%p+{number * word // 8}], {name};" for number, name in enumerate(names["d"]))
    text = f"""{HEAD}.visible .entry k(.param .u64 p0, .param .u64 p1, .param .u64 p2, .param .u64 p3) {{
      .reg .b32 %t, %o; .reg .b64 %p, %q; {declared} mov.u32 %t, %tid.x; {" ".join(lines)}
      mma.sync.aligned.{form} {operands};
      mul.lo.u32 %o, %t, {counts["d"] * word // 8}; ld.param.u64 %p, [p3]; cvt.u64.u32 %q, %o; add.u64 %p, %p, %q; {stores} ret; }}"""
    kind = np.uint64 if word == 64 else np.uint32
    given = [card.put(np.array(registers[role], dtype=kind)) for role in "abc"]
    out = np.zeros((32, counts["d"]), kind)
    target = card.put(out)
    report = card.run(load_module(text), "k", (1,), (32,), *given, target)
    assert report.ok, report.diagnostics
    exact = product(drawn["a"][1], drawn["b"][1], form) + drawn["c"][1]
    got = card.get(target, out)
    values = {"f64": np.float64, "f32": np.float32, "s32": np.int32, "f16": np.float16}[kinds["d"]]
    for lane in range(32):
        mine = got[lane].view(values).astype(np.float64)
        expected = [exact[lane // 4 + 8 * half, lane % 4 * 2 + side] for half in range(rows // 8) for side in range(2)]
        assert mine == pytest.approx(
            expected, rel=2e-6 if kinds["a"][0] == "e" else 0, abs=0.02 if values is np.float16 else 0
        )


WMMA = [
    ("m32n8k16", "f16", "f32", (8, 8, 8)), ("m8n32k16", "f16", "f16", (8, 8, 4)), ("m32n8k16", "bf16", "f32", (8, 2, 8)),
    ("m8n32k16", "s8", "s32", (1, 4, 8)), ("m32n8k16", "u8", "s32", (4, 1, 8)), ("m8n8k4", "f64", "f64", (1, 1, 2)),
    ("m8n8k32", "s4", "s32", (1, 1, 2)), ("m8n8k128", "b1", "s32", (1, 1, 2)),
]  # fmt: skip


@pytest.mark.parametrize("case", WMMA, ids=lambda case: "-".join(case[:3]))
def test_wmma(card, case):
    shape, kind, total, sizes = case
    rows, columns, depth = map(int, re.match(r"m(\d+)n(\d+)k(\d+)", shape).groups())
    rng = np.random.default_rng(4)
    (a_codes, a), (b_codes, b) = draw(kind, (rows, depth), rng), draw(kind, (depth, columns), rng)
    c_codes, c = draw(total, (rows, columns), rng)
    word = 64 if kind == "f64" else 32
    names = {
        role: [f"%{role}{number}" for number in range(size)]
        for role, size in zip("abcd", (*sizes, sizes[2]), strict=True)
    }
    declared = " ".join(f".reg .b{word} {', '.join(group)};" for group in names.values())
    group = {role: "{" + ", ".join(found) + "}" for role, found in names.items()}
    types = {"f16": f"{total}.{total}", "f64": "f64.f64.f64.f64"}.get(kind, f"{total}.{kind}.{kind}.{total}")
    mode = ".xor.popc" if kind == "b1" else ""
    text = f"""{HEAD}.visible .entry k(.param .u64 p0, .param .u64 p1, .param .u64 p2, .param .u64 p3) {{
      .reg .b64 %p<4>; {declared}
      ld.param.u64 %p0, [p0]; ld.param.u64 %p1, [p1]; ld.param.u64 %p2, [p2]; ld.param.u64 %p3, [p3];
      wmma.load.a.sync.aligned.row.{shape}.{kind} {group["a"]}, [%p0], {depth};
      wmma.load.b.sync.aligned.col.{shape}.{kind} {group["b"]}, [%p1], {depth};
      wmma.load.c.sync.aligned.row.{shape}.{total} {group["c"]}, [%p2], {columns};
      wmma.mma{mode}.sync.aligned.row.col.{shape}.{types} {group["d"]}, {group["a"]}, {group["b"]}, {group["c"]};
      wmma.store.d.sync.aligned.col.{shape}.{total} [%p3], {group["d"]}, {rows}; ret; }}"""
    values = {"f64": np.float64, "f32": np.float32, "s32": np.int32, "f16": np.float16}[total]
    out = np.zeros((columns, rows), values)
    target = card.put(out)
    given = [card.put(packed(codes, BITS[of])) for codes, of in ((a_codes, kind), (b_codes.T, kind), (c_codes, total))]
    report = card.run(load_module(text), "k", (1,), (32,), *given, target)
    assert report.ok, report.diagnostics
    exact = product(a, b, ".xor.popc" if kind == "b1" else "") + c
    assert np.abs(card.get(target, out).T.astype(np.float64) - exact).max() <= (0.02 if total == "f16" else 0)


def packed(codes, bits):
    """Pack codes row by row, the first in the lowest bits."""
    flat = [int(code) for code in np.ascontiguousarray(codes).ravel()]
    per = max(64 // bits, 1)
    return np.array(
        [sum(one << bits * e for e, one in enumerate(flat[at : at + per])) for at in range(0, len(flat), per)],
        np.uint64,
    )


@pytest.mark.parametrize("transposed", [False, True])
def test_stmatrix_and_movmatrix(card, transposed):
    trans = ".trans" if transposed else ""
    text = f"""{HEAD}.visible .entry k(.param .u64 p0, .param .u64 p1, .param .u64 p2) {{
      .shared .align 16 .b8 tile[512]; .reg .b32 %t, %s, %v<4>, %x; .reg .b64 %p, %q;
      mov.u32 %t, %tid.x; ld.param.u64 %p, [p0]; mad.wide.u32 %p, %t, 16, %p;
      ld.global.v4.b32 {{%v0, %v1, %v2, %v3}}, [%p];
      mov.u32 %s, tile; mad.lo.u32 %s, %t, 16, %s;
      stmatrix.sync.aligned.m8n8.x4{trans}.shared.b16 [%s], {{%v0, %v1, %v2, %v3}};
      movmatrix.sync.aligned.m8n8.trans.b16 %x, %v0;
      bar.warp.sync -1; ld.shared.v4.b32 {{%v0, %v1, %v2, %v3}}, [%s];
      ld.param.u64 %p, [p1]; mad.wide.u32 %q, %t, 16, %p; st.global.v4.b32 [%q], {{%v0, %v1, %v2, %v3}};
      ld.param.u64 %p, [p2]; mad.wide.u32 %q, %t, 4, %p; st.global.b32 [%q], %x; ret; }}"""
    matrices = np.arange(4 * 64, dtype=np.uint16).reshape(4, 8, 8) * 7
    lanes = np.array([[matrices[m, t // 4, t % 4 * 2 : t % 4 * 2 + 2] for m in range(4)] for t in range(32)])
    stored, moved = (card.put(np.zeros(shape, np.uint16)) for shape in ((4, 8, 8), (32, 2)))
    assert card.run(load_module(text), "k", (1,), (32,), card.put(lanes), stored, moved).ok
    expected = matrices.transpose(0, 2, 1) if transposed else matrices
    assert card.get(stored, matrices).tolist() == expected.tolist()
    turned = matrices[0].T
    assert card.get(moved, np.zeros((32, 2), np.uint16)).tolist() == [
        turned[t // 4, t % 4 * 2 : t % 4 * 2 + 2].tolist() for t in range(32)
    ]


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("other", [None, 0, 77, 255])
def test_warps_may_stmatrix_the_same_values_to_the_same_rows_and_no_others(card, transposed, other):
    trans = ".trans" if transposed else ""
    text = f"""{HEAD}.visible .entry k(.param .u64 p0) {{
      .shared .align 16 .b8 tile[512]; .reg .b32 %t, %l, %s, %v<4>; .reg .b64 %p;
      mov.u32 %t, %tid.x; and.b32 %l, %t, 31; ld.param.u64 %p, [p0]; mad.wide.u32 %p, %t, 16, %p;
      ld.global.v4.b32 {{%v0, %v1, %v2, %v3}}, [%p];
      mov.u32 %s, tile; mad.lo.u32 %s, %l, 16, %s;
      stmatrix.sync.aligned.m8n8.x4{trans}.shared.b16 [%s], {{%v0, %v1, %v2, %v3}}; ret; }}"""
    values = np.tile(np.arange(256, dtype=np.uint16), (2, 1))
    if other is not None:
        values[1, other] += 1
    report = card.run(load_module(text), "k", (1,), (64,), card.put(values), threads=1)
    assert [str(found.kind) for found in report.diagnostics] == ["data_race_shared"] * (other is not None)
    if other is not None:  # element 2 r + c of lane l is in row l // 4 of matrix r, or in column l // 4
        lane, matrix, place = other // 8, other % 8 // 2, other % 2
        row = lane % 4 * 2 + place if transposed else lane // 4
        assert f"offset {16 * (8 * matrix + row)} of" in report.diagnostics[0].message
