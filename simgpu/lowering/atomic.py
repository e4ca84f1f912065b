"""`atom` and `red`: one lane after the other, each with a host atomic (PTX ISA, 'atom')."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from string import Template

from simgpu.codegen.context import Context
from simgpu.codegen.values import WARP, Value, constant
from simgpu.lowering.access import count_access, open_access, resolve, settle_tags
from simgpu.lowering.memory import take_memory_hints, take_space
from simgpu.lowering.modifiers import Modifiers
from simgpu.lowering.shadow import order_if_acquiring
from simgpu.lowering.tags import publish_before, see_after
from simgpu.ptx.syntax import Address, Instruction, Operand, ScalarType, Space, Vector

_OPERATIONS = ("add", "min", "max", "exch", "cas", "and", "or", "xor", "inc", "dec")
_NAMES = {"exch": "xchg", "inc": "uinc_wrap", "dec": "udec_wrap"}
_FLOATS = {ScalarType.F32: "float", ScalarType.F64: "double", ScalarType.F16: "half", ScalarType.F16X2: "<2 x half>"}
_BFLOATS = {ScalarType.BF16, ScalarType.BF16X2}
_COUNTS = {"v2": 2, "v4": 4, "v8": 8}


def _atomic(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    space = take_space(modifiers)
    operation = modifiers.take(*_OPERATIONS)
    take_memory_hints(modifiers)
    modifiers.take("noftz")
    count = _COUNTS[name] if (name := modifiers.take(*_COUNTS)) else 1
    kind = modifiers.kind()
    modifiers.done()
    operands = list(i.operands)
    target = operands.pop(0) if i.base == "atom" else None
    place = operands[0]
    if operation is None or not isinstance(place, Address):
        raise c.unsupported(i)
    access = open_access(c, i, place, space, element=f"i{kind.bits}", count=count)
    count_access(c, access, 2)
    if c.program.variant.counters:
        site = constant("i32", access.site)
        c.e.call("sgpu_count_atomic", None, c.worker, site, c.e.splat(access.address), c.bits())
    publish_before(c, i)
    access = replace(access, address=c.e.splat(access.address))
    hosts = resolve(c, access).hosts
    name = _function(c, i, operation, kind)
    raw = ScalarType(f"b{kind.bits}")
    sources = [
        operand.items if isinstance(operand, Vector) else (operand,)
        for operand in operands[1 : 3 if operation == "cas" else 2]
    ]
    results = target.items if isinstance(target, Vector) else (target,) * count
    for element in range(count):
        values = [c.e.splat(_bits(c, group[element], kind, raw)) for group in sources]
        spot = c.e.number("add", hosts, element * kind.bits // 8) if element else hosts
        old = c.e.call(name, constant(f"i{kind.bits}", 0, WARP), spot, c.bits(), values[0], values[-1])
        destination = results[element]
        if destination is not None:
            c.result(destination, old)
    settle_tags(c, access)
    order_if_acquiring(c, i)
    if space is not Space.SHARED:
        see_after(c, i)


def _bits(c: Context, operand: Operand, kind: ScalarType, raw: ScalarType) -> Value:
    chosen = kind if kind in {ScalarType.F32, ScalarType.F64} else raw
    return c.e.cast("bitcast", c.source(operand, chosen), f"i{kind.bits}")


def _function(c: Context, i: Instruction, operation: str, kind: ScalarType) -> str:
    """Return the support function of an operation on a type, and have it generated with the kernel."""
    name = f"atomic_{operation}_{kind.value}"
    element = _FLOATS.get(kind, f"i{kind.bits}") if operation == "add" else f"i{kind.bits}"
    if operation == "add" and kind in _BFLOATS:
        template = Template((files("simgpu.runtime") / "atomic_bfloat.ll").read_text())
        width = f"i{kind.bits}"
        c.program.support[name] = template.substitute(name=name, T=width, K=kind.bits // 16, B=kind.bits // 8)
        return name
    if operation in {"min", "max"}:
        if kind.floating:
            raise c.unsupported(i)
        word = operation if kind.signed else f"u{operation}"
    elif operation == "add":
        word = "fadd" if kind in _FLOATS else "add"
    else:
        word = _NAMES.get(operation, operation)
    kind_name = "cas" if operation == "cas" else "rmw"
    template = Template((files("simgpu.runtime") / f"atomic_{kind_name}.ll").read_text())
    c.program.support[name] = template.substitute(
        name=name, T=f"i{kind.bits}", E=element, operation=word, B=kind.bits // 8
    )
    return name


TABLE: dict[str, Callable[[Context, Instruction], None]] = {"atom": _atomic, "red": _atomic}
