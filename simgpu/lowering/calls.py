"""Calls of device functions, by name and through pointers."""

from __future__ import annotations

from collections.abc import Callable

from simgpu.codegen.callgraph import callee, targets
from simgpu.codegen.context import Context
from simgpu.codegen.values import WARP, Value, constant
from simgpu.lowering.control import trap
from simgpu.ptx.syntax import Group, Instruction, Register, ScalarType, Symbol


def _call(c: Context, i: Instruction) -> None:
    name = callee(i)
    if name == "__assertfail":
        trap(c, i)
        return
    if name == "vprintf":
        _print(c, i)
        return
    places = _arguments(c, i)
    if name is None:
        _call_pointer(c, i, places)
    else:
        _invoke(c, name, c.mask, places)


def _arguments(c: Context, i: Instruction) -> list[Value]:
    """Return the places of the results and of the arguments."""
    places: list[Value] = []
    for group in i.operands:
        for item in group.items if isinstance(group, Group) else ():
            if not isinstance(item, Symbol) or item.name not in c.locations:
                raise c.unsupported(i, "an argument that is no .param variable")
            places.append(c.locations[item.name])
    return places


def _invoke(c: Context, name: str, mask: Value, places: list[Value]) -> None:
    """Call a function for some lanes; one that calls itself leaves its own local memory below."""
    frame = c.e.number("add", c.frame, c.program.frames.get(c.function.name, 0))
    masks = [c.bits(mask), c.bits(c.live)]
    words = ", ".join([c.worker.typed, "i32 %warp", frame.typed, *(value.typed for value in (*masks, *places))])
    c.e.line(f'call void @"func.{name}"({words})')


def _call_pointer(c: Context, i: Instruction, places: list[Value]) -> None:
    """Call each function that a lane's pointer may mean, for its lanes; a pointer to none is a trap."""
    pointer = next(operand for operand in i.operands if isinstance(operand, Register))
    address = c.e.splat(c.source(pointer, ScalarType.B64))
    rest = c.mask
    for function in targets(i, c.program.functions, c.program.taken):
        number = constant("i64", c.program.addresses[function.name], WARP)
        here = c.both(c.mask, c.e.compare("icmp eq", address, number))
        rest = c.both(rest, c.e.compare("icmp ne", address, number))
        act, skip = c.e.label("act"), c.e.label("skip")
        c.e.line(f"br i1 {c.any(here).text}, label %{act}, label %{skip}")
        c.e.start(act)
        _invoke(c, function.name, here, places)
        c.e.line(f"br label %{skip}")
        c.e.start(skip)
    lost, go = c.e.label("lost"), c.e.label("go")
    c.e.line(f"br i1 {c.any(rest).text}, label %{lost}, label %{go}")
    c.e.start(lost)
    trap(c, i)
    c.e.line(f"br label %{go}")
    c.e.start(go)


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
