"""Direct calls of device functions."""

from __future__ import annotations

from collections.abc import Callable

from simgpu.codegen.context import Context
from simgpu.codegen.program import callee
from simgpu.codegen.values import WARP, Value, constant
from simgpu.lowering.control import trap
from simgpu.ptx.syntax import Group, Instruction, Symbol


def _call(c: Context, i: Instruction) -> None:
    name = callee(i)
    if name == "__assertfail":
        trap(c, i)
        return
    if name == "vprintf":
        _print(c, i)
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


def _print(c: Context, i: Instruction) -> None:
    """`printf`: its parameters are the addresses of the format and of the packed arguments."""
    result, given = (operand.items for operand in i.operands if isinstance(operand, Group))
    places = [c.locations[item.name] for item in (*result, *given) if isinstance(item, Symbol)]
    if len(places) != 3:  # noqa: PLR2004 - the result, the format, the arguments
        raise c.unsupported(i)
    formats, arguments = (c.e.load(place, "i64", WARP, 8) for place in places[1:])
    c.program.prints = True
    c.e.call("sgpu_print", None, c.worker, constant("i32", c.program.site(i)), formats, arguments, c.bits())
    c.e.store(constant("i32", 1, WARP), places[0], 4)


TABLE: dict[str, Callable[[Context, Instruction], None]] = {"call": _call}
