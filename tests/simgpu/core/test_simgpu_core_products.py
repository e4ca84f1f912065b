"""Sparse products and Volta's, from whole matrices: fragments are laid out here element by element."""

import numpy as np
import pytest

from simgpu import load_module
from simgpu.cost import model_launch
from simgpu.specs import device_spec

KERNEL = """
.version 8.8
.target sm_90a
.address_size 64
.visible .entry k({params})
{{
  .reg .b32 %t, %x<32>; .reg .b64 %p, %q;
  mov.u32 %t, %tid.x;
{loads}
  {instruction};
{stores}
  ret;
}}"""


def multiply(card, opcode, given, results, tail=""):
    """Run one product on register arrays of shape (registers, 32); return D's registers."""
    total = results + sum(len(registers) for registers in given)
    lines, groups, number = [], [], results
    for place, registers in enumerate(given):
        lines.append(f"ld.param.u64 %p, [p{place}]; mad.wide.u32 %q, %t, 4, %p;")
        lines += [f"ld.global.b32 %x{number + step}, [%q+{128 * step}];" for step in range(len(registers))]
        groups.append("{" + ", ".join(f"%x{number + step}" for step in range(len(registers))) + "}")
        number += len(registers)
    assert number == total
    if tail:
        groups[-1] = groups[-1].strip("{}")
    target = "{" + ", ".join(f"%x{number}" for number in range(results)) + "}"
    stores = [f"ld.param.u64 %p, [p{len(given)}]; mad.wide.u32 %q, %t, 4, %p;"]
    stores += [f"st.global.b32 [%q+{128 * step}], %x{step};" for step in range(results)]
    text = KERNEL.format(
        params=", ".join(f".param .u64 p{place}" for place in range(len(given) + 1)),
        loads="\n".join(lines), stores="\n".join(stores),
        instruction=f"{opcode} {', '.join([target, *groups])}{tail}",
    )  # fmt: skip
    out = np.zeros((results, 32), np.uint32)
    place = card.put(out)
    addresses = [card.put(np.ascontiguousarray(registers, np.uint32)) for registers in given]
    report = card.run(load_module(text), "k", (1,), (32,), *addresses, place, counters=True)
    assert report.ok, report.diagnostics
    assert report.counters.instructions["tensor"] == 1
    assert model_launch(device_spec("h100"), report.counters, (1, 1, 1), (32, 1, 1), 32, 0, 0).microseconds > 0
    return card.get(place, out)


def packed(lanes, dtype):
    """Turn 32 rows of elements, low ones first, into registers."""
    data = np.ascontiguousarray(lanes).astype(dtype)
    return data.view(np.uint32).reshape(32, -1).T


def nibbles(lanes):
    low = lanes.astype(np.int64) & 15
    return low[:, ::2] | low[:, 1::2] << 4


# What `mma.sp` is given.

SPARSE = {
    # A's type: numpy type, elements of a register, bits of a unit of sparsity
    "f16": (np.float16, 2, 16),
    "tf32": (np.float32, 1, 16),
    "s8": (np.int8, 4, 8),
    "u8": (np.uint8, 4, 8),
    "s4": (None, 8, 8),
}


def rows_of_a(width, per, register):
    """Return, for each lane, the row and the columns that a register of A holds, for a matrix `width` wide."""
    for lane in range(32):
        first = (register // 2 * 4 + lane % 4) * per
        assert first + per <= width
        yield lane // 4 + 8 * (register % 2), slice(first, first + per)


def reordered(words):
    """Reorder metadata, a row for each row of A, as is done for `ldmatrix`: rows first, then blocks of two by two."""
    rows, columns = words.shape
    group, weave = (32, 4) if words.dtype == np.uint16 else (16, 2)
    result = np.zeros_like(words)
    for m in range(rows):
        for k in range(columns):
            row, column = m // group * group + m % 8 * weave + m % group // 8, k
            if row % 2 == 0 and column % 2 == 1:
                row, column = row + 1, column - 1
            elif row % 2 == 1 and column % 2 == 0:
                row, column = row - 1, column + 1
            result[row, column] = words[m, k]
    return result


def sparse_rows(rng, kind, depth):
    """Return a dense A whose chunks are half empty, its packed columns, and the metadata of each row as 4-bit codes."""
    dtype, _, unit = SPARSE[kind]
    size = 4 if dtype is None else np.dtype(dtype).itemsize * 8
    per_chunk = 4 * unit // size  # elements of a chunk
    wide = per_chunk // 2
    dense = np.zeros((16, depth), np.float64)
    kept = np.zeros((16, depth // 2), np.float64)
    codes = np.zeros((16, depth // per_chunk), np.uint64)
    low, high = {"f16": (-8, 8), "tf32": (-64, 64), "s8": (-128, 128), "u8": (0, 256), "s4": (-8, 8)}[kind]
    for row in range(16):
        for chunk in range(depth // per_chunk):
            units = (2 * rng.integers(2) + np.arange(2)) if kind == "tf32" else np.sort(rng.permutation(4)[:2])
            codes[row, chunk] = units[0] | units[1] << 2
            values = rng.integers(low, high, wide)
            kept[row, chunk * wide : (chunk + 1) * wide] = values
            bits = [(unit_number * unit + step) // size for unit_number in units for step in range(0, unit, size)]
            for place, value in zip(dict.fromkeys(bits), values, strict=True):
                dense[row, chunk * per_chunk + place] = value
    return dense, kept, codes


@pytest.mark.parametrize(
    ("kind", "depth"),
    [("f16", 16), ("f16", 32), ("tf32", 8), ("tf32", 16), ("s8", 32), ("s8", 64), ("u8", 64), ("s4", 64), ("s4", 128)],
)
def test_sparse_products(card, kind, depth):
    rng = np.random.default_rng(depth)
    dtype, per, unit = SPARSE[kind]
    dense, kept, codes = sparse_rows(rng, kind, depth)
    b = rng.integers(-7, 8, (depth, 8)).astype(np.float64) if kind != "u8" else rng.integers(0, 15, (depth, 8)) * 1.0
    c = rng.integers(-99, 99, (16, 8)).astype(np.float64)

    def registers_of(lanes):
        return packed(nibbles(lanes), np.uint8) if dtype is None else packed(lanes, dtype)

    groups = depth // (4 * per)
    a = [
        registers_of(np.array([kept[row, columns] for row, columns in rows_of_a(depth // 2, per, register)]))[0]
        for register in range(groups)
    ]
    bs = [
        registers_of(np.array([b[(g * 4 + lane % 4) * per :][:per, lane // 4] for lane in range(32)]))[0]
        for g in range(groups)
    ]
    number = np.float32 if kind in {"f16", "tf32"} else np.int32
    places = [[(lane // 4 + 8 * (r // 2), 2 * (lane % 4) + r % 2) for lane in range(32)] for r in range(4)]
    cs = np.array([[c[place] for place in row] for row in places]).astype(number).view(np.uint32)

    chunks = 64 // unit  # of one stored word of metadata
    word = np.uint16 if unit == 16 else np.uint32
    words = sum(codes[:, step::chunks] << np.uint64(4 * step) for step in range(chunks)).astype(word)
    flat = place_metadata(words, depth)
    sums = "f32.{0}.{0}.f32" if number is np.float32 else "s32.{0}.{0}.s32"
    name = "mma.sp::ordered_metadata" if kind == "s8" else "mma.sp"
    opcode = f"{name}.sync.aligned.m16n8k{depth}.row.col.{sums.format(kind)}"
    for selector, lanes in enumerate(flat):
        got = multiply(card, opcode, [a, bs, cs, lanes[None]], 4, tail=f", {selector}").view(number)
        exact = dense @ b + c
        np.testing.assert_array_equal(got, [[exact[place] for place in row] for row in places])


def place_metadata(words, depth):
    """Return the metadata of all lanes for each selector; lanes that are not selected hold nonsense."""
    columns = words.shape[1]
    result = []
    if columns == 2:
        tiles = words.itemsize % 4 or 1  # two of short words, one of whole ones
        for tile in range(tiles):
            whole = np.zeros((16 * tiles, 2), words.dtype)
            whole[16 * tile : 16 * tile + 16] = words
            result.append(reordered(whole).reshape(-1).view(np.uint32))
        return result
    # One column of words: the same order, as if the next sixteen rows' were beside it.
    own = np.ascontiguousarray(np.stack([words[:8, 0], words[8:, 0]], 1)).view(np.uint32).reshape(8, -1)
    for selector in range(4 // own.shape[1]):
        spread = np.full((8, 4), 0xDEADBEEF, np.uint32)
        spread[:, selector * own.shape[1] : (selector + 1) * own.shape[1]] = own
        result.append(spread.reshape(-1))
    return result


# Volta's products: four to a warp.


def volta_place(lane, element, layout, matrix):
    """Return the row and the column of an element of A or B in its lane's product."""
    upper = 4 * (lane >= 16)
    if (layout == "row") is (matrix == "a"):
        line, step = lane % 4 + upper, element
    else:
        line, step = element + upper, lane % 4
    return (line, step) if matrix == "a" else (step, line)


def volta_sum_place(lane, element, kind):
    upper = 4 * (lane >= 16)
    if kind == "f16":
        return lane % 4 + upper, element
    return (lane & 1) + (element & 2) + upper, (element & 4) + (lane & 2) + (element & 1)


@pytest.mark.parametrize(
    ("layouts", "kinds"),
    [
        ("row.col", "f32.f16.f16.f32"),
        ("row.row", "f16.f16.f16.f16"),
        ("col.col", "f32.f16.f16.f16"),
        ("col.row", "f32.f16.f16.f32"),
    ],
)
def test_products_of_volta(card, layouts, kinds):
    rng = np.random.default_rng(7)
    result, _, _, added = kinds.split(".")
    a, b, c = (rng.integers(-9, 9, (4, *shape)).astype(np.float64) for shape in ((8, 4), (4, 8), (8, 8)))
    product = [lane % 16 // 4 for lane in range(32)]
    la, lb = layouts.split(".")

    def fragment(values, count, place):
        return np.array([[values[(product[lane], *place(lane, e))] for e in range(count)] for lane in range(32)])

    given = [
        packed(fragment(a, 4, lambda lane, e: volta_place(lane, e, la, "a")), np.float16),
        packed(fragment(b, 4, lambda lane, e: volta_place(lane, e, lb, "b")), np.float16),
        packed(
            fragment(c, 8, lambda lane, e: volta_sum_place(lane, e, added)),
            np.float16 if added == "f16" else np.float32,
        ),
    ]
    results = 4 if result == "f16" else 8
    got = multiply(card, f"mma.sync.aligned.m8n8k4.{layouts}.{kinds}", given, results)
    got = np.ascontiguousarray(got.T).view(np.float16 if result == "f16" else np.float32)
    np.testing.assert_array_equal(got, fragment(a @ b + c, 8, lambda lane, e: volta_sum_place(lane, e, result)))
