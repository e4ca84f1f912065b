"""Integer arithmetic (PTX ISA, 'Integer Arithmetic Instructions' and 'Extended-Precision')."""

from __future__ import annotations

from collections.abc import Callable

from simgpu.codegen.context import Context
from simgpu.codegen.values import Value, constant
from simgpu.lowering.modifiers import Modifiers
from simgpu.ptx.syntax import Instruction, ScalarType

_PAIRS = {"s16x2": ScalarType.S16, "u16x2": ScalarType.U16}
_DOUBLE_HOLDS = 32
"""Quotients of integers up to this many bits are exact when computed in double precision."""


def _sources(c: Context, i: Instruction, modifiers: Modifiers) -> tuple[ScalarType, Value, Value]:
    """Return the type of an element and two operands; packed halves are twice as many elements."""
    packed = modifiers.take(*_PAIRS)
    if packed is None:
        kind = modifiers.kind()
        return kind, c.source(i.operands[1], kind), c.source(i.operands[2], kind)
    first, second = c.e.align(*(c.source(operand, ScalarType.B32) for operand in i.operands[1:3]))
    return _PAIRS[packed], c.e.reinterpret(first, "i16"), c.e.reinterpret(second, "i16")


def _write(c: Context, i: Instruction, value: Value) -> None:
    packed = any(name in _PAIRS for name in i.modifiers)
    c.result(i.operands[0], c.e.reinterpret(value, "i32") if packed else value)


def _add_or_sub(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    saturate = modifiers.has("sat")
    _, first, second = _sources(c, i, modifiers)
    modifiers.done()
    _write(c, i, c.e.intrinsic(f"s{i.base}.sat", first, second) if saturate else c.e.binary(i.base, first, second))


def product(c: Context, i: Instruction, part: str, kind: ScalarType) -> Value:
    """Multiply the first two sources: the low half, the high half or the whole (`wide`)."""
    first, second = c.source(i.operands[1], kind), c.source(i.operands[2], kind)
    if part == "lo":
        return c.e.binary("mul", first, second)
    wide = f"i{2 * kind.bits}"
    whole = c.e.binary("mul", c.e.resize(first, wide, signed=kind.signed), c.e.resize(second, wide, signed=kind.signed))
    if part == "wide":
        return whole
    return c.e.cast("trunc", c.e.number("lshr", whole, kind.bits), f"i{kind.bits}")


def _multiply(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    part, kind = modifiers.take("lo", "hi", "wide"), modifiers.kind()
    modifiers.done()
    c.result(i.operands[0], product(c, i, part or "lo", kind))


def _multiply_add(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    part, saturate, kind = modifiers.take("lo", "hi", "wide"), modifiers.has("sat"), modifiers.kind()
    modifiers.done()
    whole = product(c, i, part or "lo", kind)
    addend = c.source(i.operands[3], ScalarType(f"{kind.value[0]}{whole.bits}"))
    value = c.e.intrinsic("sadd.sat", whole, addend) if saturate else c.e.binary("add", whole, addend)
    c.result(i.operands[0], value)


def _multiply_24(c: Context, i: Instruction) -> None:
    """`mul24` and `mad24`: products of the low 24 bits."""
    modifiers = Modifiers(i)
    part, kind = modifiers.take("lo", "hi"), modifiers.kind()
    modifiers.done()
    factors = []
    for operand in i.operands[1:3]:
        high = c.e.number("shl", c.source(operand, kind), 8)
        factors.append(c.e.resize(c.e.number("ashr" if kind.signed else "lshr", high, 8), "i64", signed=kind.signed))
    whole = c.e.binary("mul", factors[0], factors[1])
    if part == "hi":
        whole = c.e.number("lshr", whole, 16)
    value = c.e.cast("trunc", whole, "i32")
    if i.base == "mad24":
        value = c.e.binary("add", value, c.source(i.operands[3], kind))
    c.result(i.operands[0], value)


def _divide(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    kind = modifiers.kind()
    modifiers.done()
    first, second = c.e.align(c.source(i.operands[1], kind), c.source(i.operands[2], kind))
    quotient = _quotient(c, first, second, kind)
    if i.base == "rem":
        quotient = c.e.binary("sub", first, c.e.binary("mul", quotient, second))
    c.result(i.operands[0], quotient)


def _quotient(c: Context, first: Value, second: Value, kind: ScalarType) -> Value:
    """Divide; a zero divisor gives all ones, as NVIDIA's division does, and no trap."""
    zero = constant(first.element, 0, first.lanes)
    by_zero = c.e.compare("icmp eq", second, zero)
    safe = c.e.select(by_zero, constant(first.element, 1, first.lanes), second)
    if kind.bits <= _DOUBLE_HOLDS and first.lanes > 1:
        signs = ("sitofp", "fptosi.sat") if kind.signed else ("uitofp", "fptoui.sat")
        ratio = c.e.binary("fdiv", c.e.cast(signs[0], first, "double"), c.e.cast(signs[0], safe, "double"))
        wide = c.e.intrinsic(signs[1], ratio, result="i64")
        value = c.e.cast("trunc", wide, first.element)
    elif kind.signed:
        value = _signed_quotient(c, first, safe)
    else:
        value = c.e.binary("udiv", first, safe)
    return c.e.select(by_zero, constant(first.element, -1, first.lanes), value)


def _signed_quotient(c: Context, first: Value, second: Value) -> Value:
    """Divide magnitudes, since the least integer divided by -1 would trap."""
    negative = c.e.compare("icmp slt", c.e.binary("xor", first, second), constant(first.element, 0, first.lanes))
    magnitude = c.e.binary(
        "udiv", c.e.intrinsic("abs", first, extra="i1 false"), c.e.intrinsic("abs", second, extra="i1 false")
    )
    return c.e.select(negative, c.e.binary("sub", constant(first.element, 0, first.lanes), magnitude), magnitude)


def _absolute(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    kind = modifiers.kind()
    modifiers.done()
    c.result(i.operands[0], c.e.intrinsic("abs", c.source(i.operands[1], kind), extra="i1 false"))


def _negate(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    kind = modifiers.kind()
    modifiers.done()
    value = c.source(i.operands[1], kind)
    c.result(i.operands[0], c.e.binary("sub", constant(value.element, 0, value.lanes), value))


def _extreme(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    relu = modifiers.has("relu")
    kind, first, second = _sources(c, i, modifiers)
    modifiers.done()
    name = ("s" if kind.signed else "u") + i.base
    value = c.e.intrinsic(name, first, second)
    if relu:
        value = c.e.intrinsic("smax", value, constant(value.element, 0, value.lanes))
    _write(c, i, value)


def _difference_sum(c: Context, i: Instruction) -> None:
    """`sad`: the absolute difference of two operands plus the third."""
    modifiers = Modifiers(i)
    kind = modifiers.kind()
    modifiers.done()
    first, second = c.source(i.operands[1], kind), c.source(i.operands[2], kind)
    sign = "s" if kind.signed else "u"
    gap = c.e.binary("sub", c.e.intrinsic(f"{sign}max", first, second), c.e.intrinsic(f"{sign}min", first, second))
    c.result(i.operands[0], c.e.binary("add", gap, c.source(i.operands[3], kind)))


def _dot_product(c: Context, i: Instruction) -> None:
    """`dp4a` and `dp2a`: dot products of packed bytes, added to the third operand."""
    modifiers = Modifiers(i)
    half = modifiers.take("lo", "hi")
    first_kind, second_kind = modifiers.kind(), modifiers.kind()
    modifiers.done()
    first, second = c.source(i.operands[1], first_kind), c.source(i.operands[2], second_kind)
    total = c.source(i.operands[3], ScalarType.S32)
    count, width = (4, 8) if i.base == "dp4a" else (2, 16)
    skip = 16 if half == "hi" else 0
    for place in range(count):
        left = _piece(c, first, place * width, width, signed=first_kind.signed)
        right = _piece(c, second, skip + place * 8, 8, signed=second_kind.signed)
        total = c.e.binary("add", total, c.e.binary("mul", left, right))
    c.result(i.operands[0], total)


def _piece(c: Context, value: Value, start: int, width: int, *, signed: bool) -> Value:
    top = c.e.number("shl", value, 32 - start - width)
    return c.e.number("ashr" if signed else "lshr", top, 32 - width)


TABLE: dict[str, Callable[[Context, Instruction], None]] = {
    "add": _add_or_sub,
    "sub": _add_or_sub,
    "mul": _multiply,
    "mad": _multiply_add,
    "mul24": _multiply_24,
    "mad24": _multiply_24,
    "div": _divide,
    "rem": _divide,
    "abs": _absolute,
    "neg": _negate,
    "min": _extreme,
    "max": _extreme,
    "sad": _difference_sum,
    "dp4a": _dot_product,
    "dp2a": _dot_product,
}
