"""`wmma`: warp-wide matrix fragments (PTX ISA, 'Warp-level Matrix Instructions using wmma').

The layout of a fragment is the implementation's business. Here a product is made of tiles of 16x8 (or 8x8), row of
tiles after row of tiles, each in the layout of `mma`. Where the ABI gives a fragment more registers than its elements
need (A and B of half precision), the rest repeat the first ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simgpu.codegen.context import Context
from simgpu.codegen.unwritten import Lanes, lanes_of
from simgpu.codegen.values import WARP, Value, constant, pattern
from simgpu.lowering.access import Access, count_access, open_access, resolve
from simgpu.lowering.matrix import (
    ELEMENT_BITS,
    Product,
    combines,
    multiply,
    registers,
    unwritten_product,
    unwritten_registers,
    write_registers,
)
from simgpu.lowering.memory import take_space
from simgpu.lowering.modifiers import Modifiers
from simgpu.lowering.unwritten_memory import leaving, watch_leaving
from simgpu.ptx.syntax import Address, Immediate, Instruction, Operand, ScalarType, Vector

_SHAPE = re.compile(r"m(\d+)n(\d+)k(\d+)")
_BITS = {**ELEMENT_BITS, "f32": 32, "s32": 32}
_TILE = 8
_WIDE = frozenset({(16, 16, 16), (32, 8, 16), (8, 32, 16)})
_SHAPES = {
    "f16": _WIDE, "bf16": _WIDE, "s8": _WIDE, "u8": _WIDE, "tf32": {(16, 16, 8)}, "f64": {(8, 8, 4)},
    "s4": {(8, 8, 32)}, "u4": {(8, 8, 32)}, "b1": {(8, 8, 128)},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """The shape of a product."""

    rows: int
    columns: int
    depth: int

    @property
    def tile_rows(self) -> int:
        """Rows of one tile."""
        return min(self.rows, 16)

    def allows(self, kind: str) -> bool:
        """Whether A and B may have this type."""
        return (self.rows, self.columns, self.depth) in _SHAPES.get(kind, ())


@dataclass(frozen=True, slots=True)
class Fragment:
    """A fragment's role (`a`, `b`, `c` or `d`), element type and the product's shape."""

    role: str
    kind: str
    form: Form

    @property
    def width(self) -> int:
        """Bits of a register."""
        return max(_BITS[self.kind], 32)

    @property
    def per_register(self) -> int:
        """Elements in one register."""
        return self.width // _BITS[self.kind]

    @property
    def unit(self) -> int:
        """Elements that are moved together: those smaller than a byte fill one."""
        return max(8 // _BITS[self.kind], 1)

    @property
    def registers(self) -> int:
        """Registers that hold elements."""
        form = self.form
        outer = {"a": form.rows * form.depth, "b": form.depth * form.columns}.get(self.role, form.rows * form.columns)
        return outer // WARP // self.per_register

    def places(self, register: int, place: int) -> list[tuple[int, int]]:
        """Return for each lane the row and the column of one element of a register."""
        return [self._place(lane, register, place) for lane in range(WARP)]

    def _place(self, lane: int, register: int, place: int) -> tuple[int, int]:
        g, t = divmod(lane, 4)
        halves = self.form.tile_rows // 8
        if self.role == "a":
            tile, inner = divmod(register, self.registers * self.form.tile_rows // self.form.rows)
            depth = (inner // halves * 4 + t) * self.per_register + place
            return tile * self.form.tile_rows + g + 8 * (inner % halves), depth
        if self.role == "b":
            tile, inner = divmod(register, self.registers * _TILE // self.form.columns)
            return (inner * 4 + t) * self.per_register + place, _TILE * tile + g
        across = self.form.columns // _TILE
        tile, inner = divmod(register, self.registers * self.form.tile_rows // self.form.rows // across)
        element = inner * self.per_register + place
        top = tile // across * self.form.tile_rows
        return top + g + 8 * (element // 2), tile % across * _TILE + 2 * t + element % 2


def _wmma(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    action = modifiers.take("load", "store", "mma")
    modifiers.take("sync")
    modifiers.take("aligned")
    rows, columns, depth = (int(number) for number in modifiers.match(_SHAPE).groups())
    form = Form(rows, columns, depth)
    if action == "mma":
        _multiply(c, i, modifiers, form)
    else:
        _move(c, i, modifiers, form)


def _multiply(c: Context, i: Instruction, modifiers: Modifiers, form: Form) -> None:
    saturate = modifiers.has("satfinite")
    modifiers.take("rn")
    logic = modifiers.take("xor", "and") or ""
    modifiers.take("popc")
    while modifiers.take("row", "col"):
        pass
    kinds = modifiers.all()
    if len(kinds) == 2:  # noqa: PLR2004 - half precision names only D and C
        kinds = [kinds[0], "f16", "f16", kinds[1]]
    if len(kinds) != 4:  # noqa: PLR2004 - D, A, B and C
        raise c.unsupported(i)
    result, left, right, added = kinds
    product = Product(form.tile_rows, form.depth, left, right, added, result, saturate, logic)
    if not form.allows(left) or not combines(product):
        raise c.unsupported(i)
    a, b, sums = (registers(c, i, operand, product.register) for operand in i.operands[1:4])
    left_size, sums_size = product.halves * product.groups, product.sums(added)
    across = form.columns // _TILE
    held_a, held_b, held_sums = (unwritten_registers(c, i, operand) for operand in i.operands[1:4])
    values, unwritten = [], []
    for tile in range(form.rows // form.tile_rows * across):
        row, column = divmod(tile, across)
        values += multiply(
            c,
            product,
            a[row * left_size : (row + 1) * left_size],
            b[column * product.groups : (column + 1) * product.groups],
            sums[tile * sums_size : (tile + 1) * sums_size],
        )
        unwritten += unwritten_product(
            c,
            product,
            held_a[row * left_size : (row + 1) * left_size],
            held_b[column * product.groups : (column + 1) * product.groups],
            held_sums[tile * sums_size : (tile + 1) * sums_size],
        )
    write_registers(c, i, i.operands[0], values, unwritten)


def _move(c: Context, i: Instruction, modifiers: Modifiers, form: Form) -> None:
    """Load or store a fragment, element by element."""
    role, layout = modifiers.take("a", "b", "c", "d"), modifiers.take("row", "col")
    space = take_space(modifiers)
    (kind,) = modifiers.rest(1)
    operands = list(i.operands)
    store = "store" in i.modifiers
    place = operands[0] if store else operands[1]
    registers_operand = operands[1] if store else operands[0]
    if role is None or kind not in _BITS or not isinstance(place, Address) or not isinstance(registers_operand, Vector):
        raise c.unsupported(i)
    fragment = Fragment(role, kind, form)
    if role in {"a", "b"} and not form.allows(kind):
        raise c.unsupported(i)
    stride = operands[2] if len(operands) > 2 else Immediate(_default_stride(fragment, layout))  # noqa: PLR2004
    access = open_access(c, i, place, space, element=f"i{_BITS[kind] * fragment.unit}", count=1).spread(c)
    step = c.e.resize(c.source(stride, ScalarType.U32), "i64")
    mover = _FragmentMover(c, access, fragment, step, by_rows=layout == "row")
    if store:
        mover.store(registers(c, i, registers_operand, f"i{fragment.width}"), registers_operand.items)
        return
    values, unwritten = mover.load()
    repeats = len(registers_operand.items) // len(values)
    write_registers(c, i, registers_operand, values * repeats, unwritten * repeats)


def _default_stride(fragment: Fragment, layout: str | None) -> int:
    """Return the distance of rows (or columns) of a matrix without gaps, in elements."""
    form = fragment.form
    rows, columns = {"a": (form.rows, form.depth), "b": (form.depth, form.columns)}.get(
        fragment.role, (form.rows, form.columns)
    )
    return columns if layout == "row" else rows


@dataclass(frozen=True, slots=True)
class _FragmentMover:
    """Moves one fragment between registers and a matrix in memory."""

    c: Context
    access: Access
    fragment: Fragment
    stride: Value
    by_rows: bool

    @property
    def _places(self) -> range:
        """The first places within a register of what is moved together."""
        return range(0, self.fragment.per_register, self.fragment.unit)

    def _element(self, register: int, place: int) -> Access:
        """Return the access to one element in each lane."""
        c = self.c
        outer, inner = zip(*self.fragment.places(register, place), strict=True)
        if not self.by_rows:
            outer, inner = inner, outer
        steps = c.e.binary("mul", pattern("i64", outer), self.stride)
        elements = c.e.binary("add", steps, pattern("i64", inner))
        unit = self.fragment.unit
        scaled = c.e.number("udiv", elements, unit) if unit > 1 else c.e.number("mul", elements, self.access.size)
        return self.access.at(c.e.binary("add", self.access.address, scaled))

    def load(self) -> tuple[list[Value], list[Lanes]]:
        """Return the registers, and the lanes in which they are unwritten."""
        c, element = self.c, self.access.element
        word = f"i{self.fragment.width}"
        values, unwritten = [], []
        for register in range(self.fragment.registers):
            found = []
            total = constant(word, 0, WARP)
            for place in self._places:
                access = self._element(register, place)
                count_access(c, access, 0)
                places = resolve(c, access)
                found.append(lanes_of(places.unwritten))
                loaded = c.e.call(f"sgpu_gather_{element}", constant(element, 0, WARP), places.hosts, c.bits())
                shifted = c.e.number("shl", c.e.resize(loaded, word), place * _BITS[self.fragment.kind])
                total = c.e.binary("or", total, shifted)
            values.append(total)
            unwritten.append(c.unwritten.joined(found))
        return values, unwritten

    def store(self, values: list[Value], items: Sequence[Operand]) -> None:
        """Write the registers that hold elements."""
        c, element = self.c, self.access.element
        for register in range(self.fragment.registers):
            for place in self._places:
                access = self._element(register, place)
                count_access(c, access, 1)
                piece = c.e.number("lshr", values[register], place * _BITS[self.fragment.kind])
                hosts = resolve(c, access).hosts
                c.e.call(f"sgpu_scatter_{element}", None, hosts, c.bits(), c.e.resize(piece, element))
                item = items[register]
                unwritten = leaving(c, access, (item,), [c.unwritten.lanes(item)])
                if unwritten is not None:
                    watch_leaving(c, access, unwritten)


TABLE: dict[str, Callable[[Context, Instruction], None]] = {"wmma": _wmma}
