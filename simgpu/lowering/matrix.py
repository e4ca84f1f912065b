"""Tensor-core products: `ldmatrix` and `mma.sync` (PTX ISA, 'Matrix Fragments for mma').

A product is generated once per form as a support function on whole fragments. With ``g = lane / 4`` and
``t = lane % 4``, register ``r`` of A holds row ``g + 8 * (r % 2)`` and the ``32 / bits`` columns from
``(r / 2 * 4 + t) * 32 / bits``; register ``r`` of B holds the rows alike in column ``g``; C and D hold columns ``2 t``
and ``2 t + 1`` of row ``g``, then of row ``g + 8``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simgpu.codegen.context import Context
from simgpu.codegen.values import WARP, Emitter, Value, constant, pattern
from simgpu.lowering.access import count_access, open_access, resolve
from simgpu.lowering.half import round_to, widen
from simgpu.lowering.modifiers import Modifiers
from simgpu.ptx.syntax import Address, Instruction, Operand, ScalarType, Space, Vector

_SHAPE = re.compile(r"m(\d+)n(\d+)k(\d+)")
_TF32_MASK = -(1 << 13)
_NARROW = {"f16": 16, "bf16": 16, "tf32": 32, "s8": 8, "u8": 8}
_ROW_BYTES = 16
_MATRIX_LANES = 8
_COUNTS = {"x1": 1, "x2": 2, "x4": 4}


@dataclass(frozen=True, slots=True)
class Product:
    """One form of a 16x8 product: its depth and the types of A and B, of C and of D."""

    depth: int
    left: str
    right: str
    added: str
    result: str
    saturate: bool = False

    @property
    def per_register(self) -> int:
        """Elements of A or B in one register."""
        return 32 // _NARROW[self.left]

    @property
    def groups(self) -> int:
        """Registers of B; A has twice as many."""
        return self.depth // (4 * self.per_register)

    @property
    def integer(self) -> bool:
        """Whether it computes on integers."""
        return self.left[1:] == "8"

    @property
    def name(self) -> str:
        """The support function's name."""
        clamp = "_sat" if self.saturate else ""
        return f"mma_k{self.depth}_{self.left}_{self.right}_{self.added}_{self.result}{clamp}"


def supported(product: Product) -> bool:
    """Whether a form is one that cards have and simgpu computes."""
    depths = {"f16": (8, 16), "bf16": (8, 16), "tf32": (4, 8), "s8": (16, 32), "u8": (16, 32)}
    if product.depth not in depths.get(product.left, ()) or product.right not in _NARROW:
        return False
    if _NARROW[product.left] != _NARROW[product.right] or product.integer is not (product.right[1:] == "8"):
        return False
    sums = {"s32"} if product.integer else {"f16", "f32"} if product.left == "f16" else {"f32"}
    return product.added in sums and product.result in sums


def multiply(
    c: Context, product: Product, a: Sequence[Value], b: Sequence[Value], added: Sequence[Value]
) -> list[Value]:
    """Multiply fragments; registers are 32-bit vectors. Return D's registers."""
    if product.name not in c.program.support:
        c.program.support[product.name] = _generate(c, product)
    count = 2 if product.result == "f16" else 4
    given = ", ".join(value.typed for value in (*a, *b, *added))
    kind = "{ " + ", ".join(["<32 x i32>"] * count) + " }"
    whole = c.e.value(f"call {kind} @{product.name}({given})", "struct", 1)
    return [c.e.value(f"extractvalue {kind} {whole.text}, {place}", "i32", WARP) for place in range(count)]


def _generate(c: Context, product: Product) -> str:
    """Write the support function of a form."""
    outer, c.e = c.e, Emitter()
    try:
        names = [f"%x{place}" for place in range(3 * product.groups + (2 if product.added == "f16" else 4))]
        registers = [Value(name, "i32", WARP) for name in names]
        a = [_elements(c, one, product.left) for one in registers[: 2 * product.groups]]
        b = [_elements(c, one, product.right) for one in registers[2 * product.groups : 3 * product.groups]]
        totals = _accumulate(c, product, a, b)
        results = _finish(c, product, totals, registers[3 * product.groups :])
        kind = "{ " + ", ".join(["<32 x i32>"] * len(results)) + " }"
        whole = "poison"
        for place, result in enumerate(results):
            whole = c.e.value(f"insertvalue {kind} {whole}, {result.typed}, {place}", "struct", 1).text
        parameters = ", ".join(f"<32 x i32> {name}" for name in names)
        lines = "\n".join(c.e.lines)
        outer.declarations |= c.e.declarations
        return f"define internal {kind} @{product.name}({parameters}) noinline #0 {{\n{lines}\n  ret {kind} {whole}\n}}"
    finally:
        c.e = outer


def _elements(c: Context, register: Value, kind: str) -> list[Value]:
    """Return a register's elements as vectors over lanes, ready to compute on."""
    if kind == "tf32":
        return [c.e.cast("bitcast", c.e.number("and", register, _TF32_MASK), "float")]
    if kind in {"s8", "u8"}:
        shifted = [c.e.number("shl", register, 24 - 8 * place) for place in range(4)]
        return [c.e.number("ashr" if kind == "s8" else "lshr", one, 24) for one in shifted]
    packed = widen(c, register, ScalarType(f"{kind}x2"))
    return [c.e.shuffle(packed, range(place, 2 * WARP, 2)) for place in range(2)]


def _accumulate(c: Context, product: Product, a: list[list[Value]], b: list[list[Value]]) -> list[Value]:
    """Sum the products for D's four elements, depth after depth."""
    element = "i32" if product.integer else "float"
    totals = [constant(element, 0, WARP)] * 4
    for depth in range(product.depth):
        group, inner = divmod(depth, 4 * product.per_register)
        t, place = divmod(inner, product.per_register)
        rows = [
            c.e.shuffle(a[2 * group + half][place], [lane // 4 * 4 + t for lane in range(WARP)]) for half in range(2)
        ]
        columns = [
            c.e.shuffle(b[group][place], [(lane % 4 * 2 + side) * 4 + t for lane in range(WARP)]) for side in range(2)
        ]
        for number in range(4):
            row, column = rows[number // 2], columns[number % 2]
            if product.integer:
                totals[number] = c.e.binary("add", totals[number], c.e.binary("mul", row, column))
            else:
                totals[number] = c.e.intrinsic("fma", row, column, totals[number])
    return totals


def _finish(c: Context, product: Product, totals: list[Value], added: Sequence[Value]) -> list[Value]:
    """Add C and give D its type."""
    if product.integer:
        name = "sadd.sat" if product.saturate else None
        return [
            c.e.binary("add", total, more) if name is None else c.e.intrinsic(name, total, more)
            for total, more in zip(totals, added, strict=True)
        ]
    if product.added == "f16":
        addends = [half for register in added for half in _elements(c, register, "f16")]
    else:
        addends = [c.e.cast("bitcast", register, "float") for register in added]
    sums = [c.e.binary("fadd", total, more) for total, more in zip(totals, addends, strict=True)]
    if product.result == "f32":
        return [c.e.cast("bitcast", one, "i32") for one in sums]
    halves = [c.e.cast("zext", round_to(c, one, ScalarType.F16), "i32") for one in sums]
    return [c.e.binary("or", halves[place], c.e.number("shl", halves[place + 1], 16)) for place in (0, 2)]


def _product(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    modifiers.take("sync")
    modifiers.take("aligned")
    saturate = modifiers.has("satfinite")
    form = modifiers.match(_SHAPE)
    layout = (modifiers.take("row"), modifiers.take("col"))
    result, left, right, added = modifiers.rest(4)
    rows, columns, depth = (int(number) for number in form.groups())
    product = Product(depth, left, right, added, result, saturate)
    if (rows, columns) != (16, 8) or None in layout or not supported(product):
        raise c.unsupported(i)
    fragments = [registers(c, i, operand) for operand in i.operands[1:4]]
    expected = (2 * product.groups, product.groups, 2 if added == "f16" else 4)
    if tuple(map(len, fragments)) != expected:
        raise c.unsupported(i, "fragments of another size")
    write_registers(c, i, i.operands[0], multiply(c, product, *fragments))


def registers(c: Context, i: Instruction, operand: Operand) -> list[Value]:
    """Return a braced operand's registers as 32-bit vectors."""
    if not isinstance(operand, Vector):
        raise c.unsupported(i)
    return [c.e.splat(c.source(item, ScalarType.B32)) for item in operand.items]


def write_registers(c: Context, i: Instruction, operand: Operand, values: Sequence[Value]) -> None:
    """Write 32-bit vectors to a braced operand."""
    if not isinstance(operand, Vector) or len(operand.items) != len(values):
        raise c.unsupported(i, "a fragment of another size")
    for item, value in zip(operand.items, values, strict=True):
        c.result(item, value)


def _load_matrices(c: Context, i: Instruction) -> None:
    """`ldmatrix`: lanes 8 m to 8 m + 7 point to the rows of matrix m; every lane gets two of its elements."""
    modifiers = Modifiers(i)
    modifiers.take("sync")
    modifiers.take("aligned")
    modifiers.take("m8n8")
    count = _COUNTS[modifiers.take(*_COUNTS) or "x1"]
    transposed = modifiers.has("trans")
    space = Space.SHARED if modifiers.take("shared", "shared::cta") else Space.GENERIC
    kind = modifiers.kind()
    modifiers.done()
    place = i.operands[1]
    if kind is not ScalarType.B16 or not isinstance(place, Address):
        raise c.unsupported(i)
    whole = c.mask
    used = pattern("i1", [lane < _MATRIX_LANES * count for lane in range(WARP)])
    c.mask = used if c.full else c.e.binary("and", c.mask, used)
    access = open_access(c, i, place, space, element="i64", count=_ROW_BYTES // 8)
    access = access.spread(c)
    count_access(c, access, 0)
    hosts = resolve(c, access)
    c.mask = whole
    load = _transposed_pair if transposed else _row_pair
    values = [load(c, hosts, _MATRIX_LANES * matrix) for matrix in range(count)]
    target = i.operands[0]
    write_registers(c, i, target if isinstance(target, Vector) else Vector((target,)), values)


def _row_pair(c: Context, hosts: Value, first: int) -> Value:
    rows = c.e.shuffle(hosts, [first + lane // 4 for lane in range(WARP)])
    places = c.e.binary("add", rows, pattern("i64", [lane % 4 * 4 for lane in range(WARP)]))
    return c.e.call("sgpu_gather_i32", constant("i32", 0, WARP), places, c.bits())


def _transposed_pair(c: Context, hosts: Value, first: int) -> Value:
    step = pattern("i64", [lane // 4 * 2 for lane in range(WARP)])
    halves = []
    for place in range(2):
        rows = c.e.shuffle(hosts, [first + lane % 4 * 2 + place for lane in range(WARP)])
        half = c.e.call("sgpu_gather_i16", constant("i16", 0, WARP), c.e.binary("add", rows, step), c.bits())
        halves.append(c.e.cast("zext", half, "i32"))
    return c.e.binary("or", halves[0], c.e.number("shl", halves[1], 16))


TABLE: dict[str, Callable[[Context, Instruction], None]] = {"mma": _product, "ldmatrix": _load_matrices}
