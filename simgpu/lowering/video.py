"""Video instructions on two halves or four bytes (PTX ISA, 'SIMD Video Instructions').

All operands are used whole: byte selectors and write masks are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from simgpu.codegen.context import Context
from simgpu.codegen.values import Value, constant
from simgpu.lowering.modifiers import Modifiers
from simgpu.ptx.syntax import Instruction, ScalarType

_NAME = re.compile(r"v(add|sub|avrg|absdiff|min|max|set)([24])")
_OPERATIONS = ("add", "sub", "avrg", "absdiff", "min", "max", "set")
_TESTS = {"eq": "eq", "ne": "ne", "lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge"}


def _video(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    name = _NAME.fullmatch(i.base)
    saturates, sums, test = modifiers.has("sat"), modifiers.has("add"), modifiers.take(*_TESTS)
    kinds = [modifiers.kind() for _ in range(2 if test else 3)]
    modifiers.done()
    if name is None or (name[1] == "set") is not bool(test):
        raise c.unsupported(i)
    target, (left, right) = kinds[0] if test is None else ScalarType.U32, kinds[-2:]
    width = 32 // int(name[2])
    first, second, third = (c.source(operand, ScalarType.B32) for operand in i.operands[1:4])
    total = third if sums else constant("i32", 0)
    for start in range(0, 32, width):
        a = _piece(c, first, start, width, signed=left.signed)
        b = _piece(c, second, start, width, signed=right.signed)
        value = _combine(c, name[1], a, b, test)
        if saturates:
            value = _clamp(c, value, width, signed=target.signed)
        if sums:
            total = c.e.binary("add", total, value)
        else:
            kept = c.e.number("shl", c.e.number("and", value, (1 << width) - 1), start)
            total = c.e.binary("or", total, kept)
    c.result(i.operands[0], total)


def _piece(c: Context, value: Value, start: int, width: int, *, signed: bool) -> Value:
    top = c.e.number("shl", value, 32 - start - width)
    return c.e.number("ashr" if signed else "lshr", top, 32 - width)


def _combine(c: Context, name: str, a: Value, b: Value, test: str | None) -> Value:
    """Combine two pieces, which 32 bits hold with room to spare."""
    if test is not None:
        return c.e.cast("zext", c.e.compare(f"icmp {_TESTS[test]}", a, b), "i32")
    if name in {"min", "max"}:
        return c.e.intrinsic(f"s{name}", a, b)
    if name in {"add", "sub"}:
        return c.e.binary(name, a, b)
    if name == "absdiff":
        return c.e.intrinsic("abs", c.e.binary("sub", a, b), extra="i1 false")
    # The average is rounded away from zero.
    total = c.e.binary("add", a, b)
    more = c.e.cast("zext", c.e.compare("icmp sge", total, constant("i32", 0, total.lanes)), "i32")
    return c.e.number("ashr", c.e.binary("add", total, more), 1)


def _clamp(c: Context, value: Value, width: int, *, signed: bool) -> Value:
    least = -(1 << width - 1) if signed else 0
    most = (1 << width - (1 if signed else 0)) - 1
    value = c.e.intrinsic("smax", value, constant("i32", least, value.lanes))
    return c.e.intrinsic("smin", value, constant("i32", most, value.lanes))


TABLE: dict[str, Callable[[Context, Instruction], None]] = {
    f"v{operation}{count}": _video for operation in _OPERATIONS for count in (2, 4)
}
