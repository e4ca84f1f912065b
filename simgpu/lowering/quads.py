"""`mma.m8n8k4` in half precision: Volta's product (PTX ISA, 'Matrix Fragments for mma.m8n8k4 with .f16').

Lanes ``4 p`` to ``4 p + 3`` and ``16 + 4 p`` to ``16 + 4 p + 3`` multiply 8 by 4 with 4 by 8, so a warp does four such
products by itself. Elements come from their places in the matrices: A's and B's in a lane by the layout, and C and D
differently in half and in single precision.
"""

from __future__ import annotations

from collections.abc import Sequence

from simgpu.codegen.context import Context
from simgpu.codegen.values import WARP, Value, constant, pattern
from simgpu.lowering.half import round_to
from simgpu.lowering.matrix import elements, registers, write_registers
from simgpu.lowering.modifiers import Modifiers
from simgpu.ptx.syntax import Instruction, ScalarType

_DEPTH, _ELEMENTS = 4, 8
_UPPER = 16
"""Lanes from here on hold the second half of the rows, or of B's columns."""


def multiply_quads(c: Context, i: Instruction) -> None:
    """Lower `mma.m8n8k4` of halves."""
    modifiers = Modifiers(i)
    for name in ("sync", "aligned", "m8n8k4"):
        modifiers.take(name)
    layout = [name for name in i.modifiers if name in {"row", "col"}]
    for name in layout:
        modifiers.take(name)
    result, left, right, added = modifiers.rest(4)
    halves = {"f16", "f32"}
    if len(layout) != 2 or (left, right) != ("f16", "f16") or not {result, added} <= halves:  # noqa: PLR2004 - A and B
        raise c.unsupported(i)
    a, b = (
        [value for register in registers(c, i, operand) for value in elements(c, register, "f16")]
        for operand in i.operands[1:3]
    )
    start = _addends(c, i, added)
    if (len(a), len(b), len(start)) != (_DEPTH, _DEPTH, _ELEMENTS):
        raise c.unsupported(i, "fragments of another size")
    sums = []
    for element in range(_ELEMENTS):
        places = [_place(lane, element, result) for lane in range(WARP)]
        total = constant("float", 0, WARP)
        for k in range(_DEPTH):
            rows = [_source(lane, row, k, along=layout[0] == "row") for lane, (row, _) in enumerate(places)]
            columns = [_source(lane, column, k, along=layout[1] == "col") for lane, (_, column) in enumerate(places)]
            total = c.e.intrinsic("fma", _picked(c, a, rows), _picked(c, b, columns), total)
        same = [_holder(lane, *place, added) for lane, place in enumerate(places)]
        sums.append(c.e.binary("fadd", total, _picked(c, start, same)))
    write_registers(c, i, i.operands[0], _packed(c, sums, result))


def _addends(c: Context, i: Instruction, added: str) -> list[Value]:
    given = registers(c, i, i.operands[3])
    if added == "f16":
        return [value for register in given for value in elements(c, register, "f16")]
    return [c.e.cast("bitcast", register, "float") for register in given]


def _packed(c: Context, sums: Sequence[Value], result: str) -> list[Value]:
    if result == "f32":
        return [c.e.cast("bitcast", one, "i32") for one in sums]
    halves = [c.e.cast("zext", round_to(c, one, ScalarType.F16), "i32") for one in sums]
    return [
        c.e.binary("or", low, c.e.number("shl", high, 16)) for low, high in zip(halves[::2], halves[1::2], strict=True)
    ]


def _place(lane: int, element: int, kind: str) -> tuple[int, int]:
    """Return the row and the column of an accumulator's element in a lane."""
    upper = 4 * (lane >= _UPPER)
    if kind == "f16":
        return lane % 4 + upper, element
    return (lane & 1) + (element & 2) + upper, (element & 4) + (lane & 2) + (element & 1)


def _holder(lane: int, row: int, column: int, kind: str) -> tuple[int, int]:
    """Return the lane of the same product, and the element, that hold a place of an accumulator."""
    first = lane % _UPPER // 4 * 4 + _UPPER * (row // 4)
    if kind == "f16":
        return first + row % 4, column
    return first + (row & 1) + (column & 2), (row & 2) + (column & 4) + (column & 1)


def _source(lane: int, line: int, k: int, *, along: bool) -> tuple[int, int]:
    """Return the lane and the element that hold step `k` of a row of A or of a column of B.

    `along` tells that a lane holds all four steps of one line; else it holds four lines of one step.
    """
    first = lane % _UPPER // 4 * 4 + _UPPER * (line // 4)
    return (first + line % 4, k) if along else (first + k, line % 4)


def _picked(c: Context, values: Sequence[Value], sources: Sequence[tuple[int, int]]) -> Value:
    """Take from each lane's source: a lane and the number of a value there."""
    total: Value | None = None
    for number in sorted({element for _, element in sources}):
        moved = c.e.shuffle(values[number], [lane for lane, _ in sources])
        here = pattern("i1", [element == number for _, element in sources])
        total = moved if total is None else c.e.select(here, moved, total)
    return values[0] if total is None else total
