"""`mma.sp`: products whose A holds two of every four elements (PTX ISA, 'mma instruction with sparse matrix A').

A is packed to half its columns, in the fragments of a dense product of half the depth. Metadata tells for every chunk
of four units which two of them are there: four bits, the numbers of the first and of the second. A unit has 8 bits (a
pair of 4-bit elements, one 8-bit element) or 16 (one 16-bit element, half a TF32, whose halves stay together).

The metadata of a row comes in pieces of 8 chunks (units of 8 bits) or 4 (of 16): first the piece of row ``g`` and that
of row ``g + 8``, then the next two, without gaps through the words of lanes ``4 g + s`` on, where the selector gives
``s``. That order is CUTLASS's, which reorders metadata to it for `ldmatrix`; it was not compared with a card.

Each register of the dense A is made of the packed one, then the dense product does the rest.
"""

from __future__ import annotations

from simgpu.codegen.context import Context
from simgpu.codegen.values import WARP, Value, pattern
from simgpu.lowering.matrix import ELEMENT_BITS, Product, multiply, read_product, registers, write_registers
from simgpu.ptx.syntax import Immediate, Instruction, ScalarType

_FORMS: dict[str, dict[int, tuple[int, ...]]] = {
    "f16": {16: (16, 32)}, "bf16": {16: (16, 32)}, "tf32": {16: (8, 16)}, "s8": {16: (32, 64)}, "s4": {16: (64, 128)},
    "e4m3": {16: (64,)}, "e5m2": {16: (64,)},
}  # fmt: skip
_CHUNK_UNITS, _CHUNK_BITS = 4, 4
_NARROW_UNIT, _WIDE_UNIT = 8, 16
_QUAD = 4


def multiply_sparse(c: Context, i: Instruction) -> None:
    """Lower `mma.sp`."""
    product = read_product(c, i, _FORMS)
    packed, b, added = (registers(c, i, operand) for operand in i.operands[1:4])
    if (len(packed), len(b), len(added)) != (product.groups, product.groups, product.sums(product.added)):
        raise c.unsupported(i, "fragments of another size")
    metadata = c.e.splat(c.source(i.operands[4], ScalarType.B32))
    layout = _Layout(product)
    selector = i.operands[5]
    if not isinstance(selector, Immediate) or not 0 <= selector.value < _QUAD // layout.words:
        raise c.unsupported(i, "a selector that names no threads")
    dense = [
        _dense_register(c, layout, packed, metadata, group=group, half=half, first=selector.value * layout.words)
        for group in range(product.groups)
        for half in range(product.halves)
    ]
    write_registers(c, i, i.operands[0], multiply(c, product, dense, b, added))


class _Layout:
    """Where the metadata of a form lies."""

    def __init__(self, product: Product) -> None:
        self.unit = _NARROW_UNIT if ELEMENT_BITS[product.left] <= _NARROW_UNIT else _WIDE_UNIT
        self.piece_chunks = 64 // self.unit
        chunks = product.depth * ELEMENT_BITS[product.left] // self.unit // _CHUNK_UNITS
        self.words = product.halves * chunks * _CHUNK_BITS // 32
        """Threads of each four that hold metadata."""

    def place(self, chunk: int, half: int) -> tuple[int, int]:
        """Return the word of a chunk's metadata in rows `g + 8 half`, and the bit where it begins."""
        piece = half + 2 * (chunk // self.piece_chunks)
        return divmod((piece * self.piece_chunks + chunk % self.piece_chunks) * _CHUNK_BITS, 32)


def _dense_register(
    c: Context, layout: _Layout, packed: list[Value], metadata: Value, *, group: int, half: int, first: int
) -> Value:
    """Spread units over one register of the dense A: in lane `4 g + t` the columns of word `4 group + t`."""
    words = [_QUAD * group + lane % _QUAD for lane in range(WARP)]
    holders = [word // 2 for word in words]
    quads = [lane - lane % _QUAD for lane in range(WARP)]
    given = c.e.shuffle(
        packed[2 * (group // 2) + half],
        [quad + holder % _QUAD for quad, holder in zip(quads, holders, strict=True)],
    )
    narrow = layout.unit == _NARROW_UNIT
    places = [layout.place(chunk, half) for chunk in (words if narrow else holders)]
    found = c.e.shuffle(metadata, [quad + first + word for quad, (word, _) in zip(quads, places, strict=True)])
    found = c.e.binary("lshr", found, pattern("i32", [bit for _, bit in places]))
    if narrow:
        # A packed register has two chunks, a dense one is a chunk.
        given = c.e.binary("lshr", given, pattern("i32", [16 * (word % 2) for word in words]))
        return c.e.cast("trunc", _spread(c, given, found, layout.unit), "i32")
    # A packed register is a chunk, which two dense ones share.
    whole = _spread(c, given, found, layout.unit)
    side = pattern("i64", [32 * (word % 2) for word in words])
    return c.e.cast("trunc", c.e.binary("lshr", whole, side), "i32")


def _spread(c: Context, given: Value, found: Value, unit: int) -> Value:
    """Put the two lowest units where the four lowest bits of the metadata say."""
    parts = []
    for number in range(2):
        one = c.e.number("and", c.e.number("lshr", given, unit * number), (1 << unit) - 1)
        index = c.e.number("and", c.e.number("lshr", found, 2 * number), _CHUNK_UNITS - 1)
        shift = c.e.resize(c.e.number("mul", index, unit), "i64")
        parts.append(c.e.binary("shl", c.e.resize(one, "i64"), shift))
    return c.e.binary("or", *parts)
