"""Extended-precision arithmetic with the carry flag (PTX ISA, 'Extended-Precision Integer Arithmetic')."""

from __future__ import annotations

from collections.abc import Callable

from simgpu.codegen.context import Context
from simgpu.codegen.values import WARP, Value
from simgpu.lowering.integer import product
from simgpu.lowering.modifiers import Modifiers
from simgpu.ptx.syntax import Instruction, ScalarType

_FLAG = Value("%carry", "ptr", 1)


def _extended(c: Context, i: Instruction) -> None:
    """`add.cc`, `addc`, `sub.cc`, `subc`, `mad.cc`, `madc`: operate, take the flag in, give it out."""
    if c.guard is not None:
        raise c.unsupported(i, "under a predicate")
    modifiers = Modifiers(i)
    gives, part = modifiers.has("cc"), modifiers.take("lo", "hi")
    kind = modifiers.kind()
    modifiers.done()
    takes = i.base.endswith("c")
    first, second = (c.source(operand, kind) for operand in i.operands[1:3])
    if i.base.startswith("mad"):
        first = product(c, i, part or "lo", kind)
        second = c.source(i.operands[3], ScalarType(f"b{kind.bits}"))
    step = _borrow if i.base.startswith("sub") else _carry
    value, flag = step(c, first, second)
    if takes:
        carried = c.e.resize(c.e.load(_FLAG, "i1", WARP), value.element)
        value, more = step(c, value, carried)
        flag = c.e.binary("or", flag, more)
    if gives:
        c.e.store(c.e.splat(flag), _FLAG)
    c.result(i.operands[0], value)


def _carry(c: Context, first: Value, second: Value) -> tuple[Value, Value]:
    total = c.e.binary("add", first, second)
    return total, c.e.compare("icmp ult", total, first)


def _borrow(c: Context, first: Value, second: Value) -> tuple[Value, Value]:
    return c.e.binary("sub", first, second), c.e.compare("icmp ult", first, second)


TABLE: dict[str, Callable[[Context, Instruction], None]] = dict.fromkeys(
    ("add", "addc", "sub", "subc", "mad", "madc"), _extended
)


def uses_carry(instruction: Instruction) -> bool:
    """Whether an instruction reads or writes the carry flag."""
    return instruction.base in {"addc", "subc", "madc"} or "cc" in instruction.modifiers
