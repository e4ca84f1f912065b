"""`wmma`: warp-wide matrix fragments (PTX ISA, 'Warp-level Matrix Instructions using wmma').

The layout of a fragment is the implementation's business. Here a 16x16 product is two 16x8 products side by side, in
the layout of `mma`: A as there, B and the accumulators as two halves. Where the ABI gives a fragment more registers
than its elements need (A and B of half precision), the rest repeat the first ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from simgpu.codegen.context import Context
from simgpu.codegen.values import WARP, Value, constant, pattern
from simgpu.lowering.access import Access, count_access, open_access, resolve
from simgpu.lowering.matrix import Product, multiply, registers, supported, write_registers
from simgpu.lowering.memory import take_space
from simgpu.lowering.modifiers import Modifiers
from simgpu.ptx.syntax import Address, Immediate, Instruction, ScalarType, Vector

_SHAPE = re.compile(r"m(\d+)n(\d+)k(\d+)")
_BITS = {"f16": 16, "bf16": 16, "tf32": 32, "s8": 8, "u8": 8, "f32": 32, "s32": 32}
_SIDE = 16
_DEPTHS = {"f16": 16, "bf16": 16, "tf32": 8, "s8": 16, "u8": 16}


@dataclass(frozen=True, slots=True)
class Fragment:
    """A fragment's role (`a`, `b`, `c` or `d`), element type and depth."""

    role: str
    kind: str
    depth: int

    @property
    def per_register(self) -> int:
        """Elements in one 32-bit register."""
        return 32 // _BITS[self.kind]

    @property
    def registers(self) -> int:
        """Registers that hold elements."""
        elements = _SIDE * (self.depth if self.role in {"a", "b"} else _SIDE)
        return elements // WARP // self.per_register

    def places(self, register: int, place: int) -> list[tuple[int, int]]:
        """Return for each lane the row and the column of one element of a register."""
        return [self._place(lane, register, place) for lane in range(WARP)]

    def _place(self, lane: int, register: int, place: int) -> tuple[int, int]:
        g, t = divmod(lane, 4)
        if self.role == "a":
            depth = (register // 2 * 4 + t) * self.per_register + place
            return g + 8 * (register % 2), depth
        half, inner = divmod(register, self.registers // 2)
        if self.role == "b":
            return (inner * 4 + t) * self.per_register + place, 8 * half + g
        element = inner * self.per_register + place
        return g + 8 * (element // 2), 8 * half + 2 * t + element % 2


def _wmma(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    action = modifiers.take("load", "store", "mma")
    modifiers.take("sync")
    modifiers.take("aligned")
    form = modifiers.match(_SHAPE)
    rows, columns, depth = (int(number) for number in form.groups())
    if (rows, columns) != (_SIDE, _SIDE):
        raise c.unsupported(i, "a shape other than 16x16")
    if action == "mma":
        _multiply(c, i, modifiers, depth)
    else:
        _move(c, i, modifiers, depth)


def _multiply(c: Context, i: Instruction, modifiers: Modifiers, depth: int) -> None:
    saturate = modifiers.has("satfinite")
    while modifiers.take("row", "col"):
        pass
    kinds = modifiers.all()
    if len(kinds) == 2:  # noqa: PLR2004 - half precision names only D and C
        kinds = [kinds[0], "f16", "f16", kinds[1]]
    if len(kinds) != 4:  # noqa: PLR2004 - D, A, B and C
        raise c.unsupported(i)
    result, left, right, added = kinds
    product = Product(depth, left, right, added, result, saturate)
    if _DEPTHS.get(left) != depth or not supported(product):
        raise c.unsupported(i)
    a, b, sums = (registers(c, i, operand) for operand in i.operands[1:4])
    half = len(sums) // 2
    values = [
        value
        for side in range(2)
        for value in multiply(
            c,
            product,
            a[: 2 * product.groups],
            b[side * product.groups : (side + 1) * product.groups],
            sums[side * half : (side + 1) * half],
        )
    ]
    write_registers(c, i, i.operands[0], values)


def _move(c: Context, i: Instruction, modifiers: Modifiers, depth: int) -> None:
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
    fragment = Fragment(role, kind, depth)
    if role in {"a", "b"} and _DEPTHS.get(kind) != depth:
        raise c.unsupported(i)
    stride = operands[2] if len(operands) > 2 else Immediate(_default_stride(fragment, layout))  # noqa: PLR2004
    access = open_access(c, i, place, space, element=f"i{_BITS[kind]}", count=1).spread(c)
    step = c.e.resize(c.source(stride, ScalarType.U32), "i64")
    mover = _FragmentMover(c, access, fragment, step, by_rows=layout == "row")
    if store:
        mover.store(registers(c, i, registers_operand))
        return
    values = mover.load()
    repeats = len(registers_operand.items) // len(values)
    write_registers(c, i, registers_operand, values * repeats)


def _default_stride(fragment: Fragment, layout: str | None) -> int:
    if fragment.role == "a":
        return fragment.depth if layout == "row" else _SIDE
    if fragment.role == "b":
        return _SIDE if layout == "row" else fragment.depth
    return _SIDE


@dataclass(frozen=True, slots=True)
class _FragmentMover:
    """Moves one fragment between registers and a matrix in memory."""

    c: Context
    access: Access
    fragment: Fragment
    stride: Value
    by_rows: bool

    def _element(self, register: int, place: int) -> Access:
        """Return the access to one element in each lane."""
        c = self.c
        outer, inner = zip(*self.fragment.places(register, place), strict=True)
        if not self.by_rows:
            outer, inner = inner, outer
        steps = c.e.binary("mul", pattern("i64", outer), self.stride)
        elements = c.e.binary("add", steps, pattern("i64", inner))
        scaled = c.e.number("mul", elements, self.access.size)
        return self.access.at(c.e.binary("add", self.access.address, scaled))

    def load(self) -> list[Value]:
        """Return the registers."""
        c, element = self.c, self.access.element
        values = []
        for register in range(self.fragment.registers):
            total = constant("i32", 0, WARP)
            for place in range(self.fragment.per_register):
                access = self._element(register, place)
                count_access(c, access, 0)
                loaded = c.e.call(f"sgpu_gather_{element}", constant(element, 0, WARP), resolve(c, access), c.bits())
                shifted = c.e.number("shl", c.e.resize(loaded, "i32"), place * _BITS[self.fragment.kind])
                total = c.e.binary("or", total, shifted)
            values.append(total)
        return values

    def store(self, values: list[Value]) -> None:
        """Write the registers that hold elements."""
        c, element = self.c, self.access.element
        for register in range(self.fragment.registers):
            for place in range(self.fragment.per_register):
                access = self._element(register, place)
                count_access(c, access, 1)
                piece = c.e.number("lshr", values[register], place * _BITS[self.fragment.kind])
                c.e.call(f"sgpu_scatter_{element}", None, resolve(c, access), c.bits(), c.e.resize(piece, element))


TABLE: dict[str, Callable[[Context, Instruction], None]] = {"wmma": _wmma}
