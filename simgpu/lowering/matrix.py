"""Tensor-core products: `mma.sync` (PTX ISA, 'Matrix Fragments for mma').

A product is generated once per form as a support function on whole fragments. With ``g = lane / 4`` and
``t = lane % 4``, register ``r`` of A holds row ``g + 8 * (r % 2)`` and the ``32 / bits`` columns from
``(r / 2 * 4 + t) * 32 / bits`` (with 8 rows, row ``g`` and ``r`` in place of ``r / 2``); register ``r`` of B holds the
rows alike in column ``g``; C and D hold columns ``2 t`` and ``2 t + 1`` of row ``g``, then of row ``g + 8``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simgpu.codegen.context import Context
from simgpu.codegen.unwritten import NOWHERE, Lanes, lanes_of
from simgpu.codegen.values import WARP, Value, constant
from simgpu.lowering.eight import EIGHT_BIT_FORMATS, widen_eight
from simgpu.lowering.half import round_to, widen
from simgpu.lowering.modifiers import Modifiers
from simgpu.ptx.syntax import Instruction, Operand, ScalarType, Vector

_SHAPE = re.compile(r"m(\d+)n(\d+)k(\d+)")
_TF32_MASK = -(1 << 13)
ELEMENT_BITS = {
    "f64": 64, "tf32": 32, "f16": 16, "bf16": 16, "s8": 8, "u8": 8, "e4m3": 8, "e5m2": 8, "s4": 4, "u4": 4, "b1": 1,
}  # fmt: skip
_FORMS: dict[str, dict[int, tuple[int, ...]]] = {
    "f16": {16: (8, 16)}, "bf16": {16: (8, 16)}, "tf32": {16: (4, 8)}, "f64": {8: (4,), 16: (4, 8, 16)},
    "s8": {8: (16,), 16: (16, 32)}, "s4": {8: (32,), 16: (32, 64)}, "b1": {8: (128,), 16: (128, 256)},
    "e4m3": {16: (16, 32)}, "e5m2": {16: (16, 32)},
}  # fmt: skip
"""The depths of `mma` for each type of A and number of rows; unsigned types are as signed ones."""
_SUMS = {"f16": {"f16", "f32"}, "f64": {"f64"}, "e4m3": {"f16", "f32"}, "e5m2": {"f16", "f32"}}


@dataclass(frozen=True, slots=True)
class Product:
    """One form of a product 8 columns wide: its rows and depth, the types of A and B, of C and of D.

    `logic` is how single bits are combined: `xor` or `and`.
    """

    rows: int
    depth: int
    left: str
    right: str
    added: str
    result: str
    saturate: bool = False
    logic: str = ""

    @property
    def register(self) -> str:
        """The element type of a register: 64 bits wide for double precision."""
        return "i64" if self.left == "f64" else "i32"

    @property
    def per_register(self) -> int:
        """Elements of A or B in one register."""
        return max(32 // ELEMENT_BITS[self.left], 1)

    @property
    def groups(self) -> int:
        """Registers of B; A has as many for every 8 rows."""
        return self.depth // (4 * self.per_register)

    @property
    def halves(self) -> int:
        """Groups of 8 rows."""
        return self.rows // 8

    @property
    def integer(self) -> bool:
        """Whether it computes on integers."""
        return self.left[0] in "sub" and self.left != "bf16"

    def sums(self, kind: str) -> int:
        """Return the registers of an accumulator fragment."""
        return self.halves if kind == "f16" else 2 * self.halves

    @property
    def name(self) -> str:
        """The support function's name."""
        clamp = "_sat" if self.saturate else ""
        kinds = f"{self.left}{self.logic}_{self.right}_{self.added}_{self.result}"
        return f"mma_m{self.rows}k{self.depth}_{kinds}{clamp}"


def combines(product: Product) -> bool:
    """Whether the types of a product go together."""
    left, right = product.left, product.right
    if left not in ELEMENT_BITS or right not in ELEMENT_BITS or ELEMENT_BITS[left] != ELEMENT_BITS[right]:
        return False
    if left != right and {left[0], right[0]} not in ({"s", "u"}, {"e"}):
        return False
    sums = {"s32"} if product.integer else _SUMS.get(left, {"f32"})
    return product.added in sums and product.result in sums and (left == "b1") is bool(product.logic)


def multiply(
    c: Context, product: Product, a: Sequence[Value], b: Sequence[Value], added: Sequence[Value]
) -> list[Value]:
    """Multiply fragments; registers are vectors of 32 or 64 bits. Return D's registers."""
    left, right = len(a), len(a) + len(b)

    def body(given: Sequence[Value]) -> list[Value]:
        rows = [elements(c, one, product.left) for one in given[:left]]
        columns = [elements(c, one, product.right) for one in given[left:right]]
        return _finish(c, product, rows, columns, given[right:])

    results = [constant(product.register, 0, WARP)] * product.sums(product.result)
    return c.outlined(product.name, results, (*a, *b, *added), body)


def unwritten_product(
    c: Context, product: Product, a: Sequence[Lanes], b: Sequence[Lanes], added: Sequence[Lanes]
) -> list[Lanes]:
    """Return where D's registers hang on what nothing has written: of A only their rows count, of B their columns."""
    rows = [_reached(c, "rows", c.unwritten.joined(a[half :: product.halves])) for half in range(product.halves)]
    columns = [_reached(c, "columns", c.unwritten.joined(b), constant("i32", side)) for side in range(2)]
    found = []
    for register in range(product.sums(product.result)):
        elements = (2 * register, 2 * register + 1) if product.result == "f16" else (register,)
        parts = [lanes for element in elements for lanes in (rows[element // 2], columns[element % 2])]
        own = added[register : register + 1] if product.added == product.result else added
        found.append(c.unwritten.joined([*parts, *own]))
    return found


def _reached(c: Context, what: str, lanes: Lanes, *more: Value) -> Lanes:
    if not lanes:
        return NOWHERE
    number = c.unwritten.number(lanes)
    return lanes_of(c.e.call(f"sgpu_unwritten_{what}", constant("i32", 0), number, *more))


def elements(c: Context, register: Value, kind: str) -> list[Value]:
    """Return a register's elements as vectors over lanes, ready to compute on; bits stay together."""
    if kind == "f64":
        return [c.e.cast("bitcast", register, "double")]
    if kind == "tf32":
        return [c.e.cast("bitcast", c.e.number("and", register, _TF32_MASK), "float")]
    if kind == "b1":
        return [register]
    bits = ELEMENT_BITS[kind]
    if kind in EIGHT_BIT_FORMATS:
        pieces = [c.e.cast("trunc", c.e.number("lshr", register, 8 * place), "i8") for place in range(4)]
        return [widen_eight(c, piece, EIGHT_BIT_FORMATS[kind]) for piece in pieces]
    if kind[0] in "su":
        shifted = [c.e.number("shl", register, 32 - bits - bits * place) for place in range(32 // bits)]
        return [c.e.number("ashr" if kind[0] == "s" else "lshr", one, 32 - bits) for one in shifted]
    packed = widen(c, register, ScalarType(f"{kind}x2"))
    return [c.e.shuffle(packed, range(place, 2 * WARP, 2)) for place in range(2)]


def _accumulate(
    c: Context, product: Product, a: list[list[Value]], b: list[list[Value]], start: list[Value]
) -> list[Value]:
    """Sum the products for D's elements, depth after depth."""
    totals = list(start)
    places = len(b[0])
    for step in range(4 * product.groups * places):
        group, inner = divmod(step, 4 * places)
        t, place = divmod(inner, places)
        rows = [
            c.e.shuffle(a[product.halves * group + half][place], [lane // 4 * 4 + t for lane in range(WARP)])
            for half in range(product.halves)
        ]
        columns = [
            c.e.shuffle(b[group][place], [(lane % 4 * 2 + side) * 4 + t for lane in range(WARP)]) for side in range(2)
        ]
        for number, total in enumerate(totals):
            totals[number] = _multiply_add(c, product, rows[number // 2], columns[number % 2], total)
    return totals


def _multiply_add(c: Context, product: Product, row: Value, column: Value, total: Value) -> Value:
    if product.logic:
        return c.e.binary("add", total, c.e.intrinsic("ctpop", c.e.binary(product.logic, row, column)))
    if product.integer:
        return c.e.binary("add", total, c.e.binary("mul", row, column))
    return c.e.intrinsic("fma", row, column, total)


def _finish(
    c: Context, product: Product, a: list[list[Value]], b: list[list[Value]], added: Sequence[Value]
) -> list[Value]:
    """Multiply, add C and give D its type. Double precision adds to C step by step, the others to their sum."""
    if product.left == "f64":
        start = [c.e.cast("bitcast", register, "double") for register in added]
        return [c.e.cast("bitcast", total, "i64") for total in _accumulate(c, product, a, b, start)]
    zero = constant("i32" if product.integer else "float", 0, WARP)
    totals = _accumulate(c, product, a, b, [zero] * (2 * product.halves))
    if product.integer:
        join = c.e.intrinsic if product.saturate else c.e.binary
        name = "sadd.sat" if product.saturate else "add"
        return [join(name, total, more) for total, more in zip(totals, added, strict=True)]
    if product.added == "f16":
        addends = [half for register in added for half in elements(c, register, "f16")]
    else:
        addends = [c.e.cast("bitcast", register, "float") for register in added]
    sums = [c.e.binary("fadd", total, more) for total, more in zip(totals, addends, strict=True)]
    if product.result == "f32":
        return [c.e.cast("bitcast", one, "i32") for one in sums]
    halves = [c.e.cast("zext", round_to(c, one, ScalarType.F16), "i32") for one in sums]
    pairs = range(0, len(halves), 2)
    return [c.e.binary("or", halves[place], c.e.number("shl", halves[place + 1], 16)) for place in pairs]


def read_product(c: Context, i: Instruction, forms: dict[str, dict[int, tuple[int, ...]]]) -> Product:
    """Read the modifiers of a product of rows by columns; `forms` has the depths by A's type and the rows."""
    modifiers = Modifiers(i)
    modifiers.take("sync")
    modifiers.take("aligned")
    modifiers.take("sp", "sp::ordered_metadata")
    saturate = modifiers.has("satfinite")
    modifiers.take("rn")
    modifiers.drop("kind::")
    logic = modifiers.take("xor", "and") or ""
    modifiers.take("popc")
    form = modifiers.match(_SHAPE)
    layout = (modifiers.take("row"), modifiers.take("col"))
    result, left, right, added = modifiers.rest(4)
    rows, columns, depth = (int(number) for number in form.groups())
    product = Product(rows, depth, left, right, added, result, saturate, logic)
    depths = forms.get(left.replace("u", "s"), {}).get(rows, ())
    if columns != 8 or None in layout or depth not in depths or not combines(product):  # noqa: PLR2004 - all but one
        raise c.unsupported(i)
    return product


def _product(c: Context, i: Instruction) -> None:
    product = read_product(c, i, _FORMS)
    fragments = [registers(c, i, operand, product.register) for operand in i.operands[1:4]]
    expected = (product.halves * product.groups, product.groups, product.sums(product.added))
    if tuple(map(len, fragments)) != expected:
        raise c.unsupported(i, "fragments of another size")
    held = [unwritten_registers(c, i, operand) for operand in i.operands[1:4]]
    write_registers(c, i, i.operands[0], multiply(c, product, *fragments), unwritten_product(c, product, *held))


def unwritten_registers(c: Context, i: Instruction, operand: Operand) -> list[Lanes]:
    """Return in which lanes nothing has written a braced operand's registers."""
    if not isinstance(operand, Vector):
        raise c.unsupported(i)
    return [c.unwritten.lanes(item) for item in operand.items]


def registers(c: Context, i: Instruction, operand: Operand, element: str = "i32") -> list[Value]:
    """Return a braced operand's registers as vectors of 32 or 64 bits."""
    if not isinstance(operand, Vector):
        raise c.unsupported(i)
    kind = ScalarType.B64 if element == "i64" else ScalarType.B32
    return [c.e.splat(c.source(item, kind)) for item in operand.items]


def write_registers(
    c: Context, i: Instruction, operand: Operand, values: Sequence[Value], unwritten: Sequence[Lanes] = ()
) -> None:
    """Write vectors to a braced operand; `unwritten` tells in which lanes they are so, where that is known."""
    if not isinstance(operand, Vector) or len(operand.items) != len(values):
        raise c.unsupported(i, "a fragment of another size")
    for item, value in zip(operand.items, values, strict=True):
        c.result(item, value)
    for item, lanes in zip(operand.items, unwritten, strict=False):
        c.unwritten.give(item, [lanes])


TABLE: dict[str, Callable[[Context, Instruction], None]] = {"mma": _product}
