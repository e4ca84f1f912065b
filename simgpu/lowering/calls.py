"""Direct calls of device functions."""

from __future__ import annotations

from collections.abc import Callable

from simgpu.codegen.context import Context
from simgpu.codegen.program import callee
from simgpu.codegen.values import Value
from simgpu.lowering.control import trap
from simgpu.ptx.syntax import Group, Instruction, Symbol


def _call(c: Context, i: Instruction) -> None:
    name = callee(i)
    if name == "__assertfail":
        trap(c, i)
        return
    groups = [operand for operand in i.operands if isinstance(operand, Group)]
    places: list[Value] = []
    for group in groups:
        for item in group.items:
            if not isinstance(item, Symbol) or item.name not in c.locations:
                raise c.unsupported(i, "an argument that is no .param variable")
            places.append(c.locations[item.name])
    masks = [c.bits(), c.bits(c.live)]
    words = ", ".join([c.worker.typed, "i32 %warp", *(value.typed for value in (*masks, *places))])
    c.e.line(f'call void @"func.{name}"({words})')


TABLE: dict[str, Callable[[Context, Instruction], None]] = {"call": _call}
