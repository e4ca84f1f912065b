"""Half precision and bfloat16, single and packed (PTX ISA, 'Half Precision Floating Point Instructions').

Values are widened to single precision, computed and rounded once. That is exact for a sum, a difference and a
product, since 24 bits hold twice the narrow precision and two more; a fused multiply-add is rounded to odd first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simgpu.codegen.context import Context
from simgpu.codegen.values import Value, constant
from simgpu.lowering.floating import signed_extreme
from simgpu.lowering.modifiers import Modifiers
from simgpu.lowering.rounding import narrow_to_odd, saturate, to_odd, two_sum
from simgpu.lowering.transcendental import FUNCTIONS
from simgpu.ptx.syntax import Instruction, Operand, ScalarType

_BFLOATS = {ScalarType.BF16, ScalarType.BF16X2}
_NAN = 0x7FFF
_OPERATIONS = {"add": "fadd", "sub": "fsub", "mul": "fmul"}


def widen(c: Context, bits: Value, kind: ScalarType) -> Value:
    """Return single-precision values of 16-bit floats; packed ones give two for each lane."""
    if kind in _BFLOATS:
        wide = c.e.number("shl", c.e.cast("zext", c.e.reinterpret(bits, "i16"), "i32"), 16)
        return c.e.cast("bitcast", wide, "float")
    return c.e.cast("fpext", c.e.reinterpret(bits, "half"), "float")


def round_to(c: Context, value: Value, kind: ScalarType) -> Value:
    """Round single precision to the nearest 16-bit float, as bits of the scalar or packed type."""
    narrow = _bfloat_bits(c, value) if kind in _BFLOATS else c.e.cast("fptrunc", value, "half")
    return c.e.reinterpret(narrow, f"i{kind.bits}")


def _bfloat_bits(c: Context, value: Value) -> Value:
    bits = c.e.cast("bitcast", value, "i32")
    odd = c.e.number("and", c.e.number("lshr", bits, 16), 1)
    rounded = c.e.number("lshr", c.e.binary("add", bits, c.e.number("add", odd, _NAN)), 16)
    unordered = c.e.compare("fcmp uno", value, value)
    return c.e.cast("trunc", c.e.select(unordered, constant("i32", _NAN, bits.lanes), rounded), "i16")


def source(c: Context, operand: Operand, kind: ScalarType) -> Value:
    """Return an operand's bits, not yet as floats."""
    return c.source(operand, ScalarType(f"b{kind.bits}"))


def _compute(c: Context, i: Instruction, apply: Callable[[Sequence[Value], ScalarType], Value], *also: str) -> None:
    modifiers = Modifiers(i)
    modifiers.take("rn")
    ftz, sat, relu = modifiers.has("ftz"), modifiers.has("sat"), modifiers.has("relu")
    for name in also:
        modifiers.take(name)
    kind = modifiers.kind()
    modifiers.done()
    bits = c.e.align(*(source(c, operand, kind) for operand in i.operands[1:]))
    sources = [widen(c, value, kind) for value in bits]
    if ftz:
        sources = [_flush_half(c, value) for value in sources]
    value = apply(sources, kind)
    if sat:
        value = saturate(c, value)
    if relu:
        value = c.e.intrinsic("maximum", value, constant("float", 0.0, value.lanes))
    c.result(i.operands[0], round_to(c, _flush_half(c, value) if ftz else value, kind))


def _flush_half(c: Context, value: Value) -> Value:
    """Flush what would be a subnormal half."""
    small = c.e.compare("fcmp olt", c.e.intrinsic("fabs", value), constant("float", 2.0**-14, value.lanes))
    return c.e.select(small, c.e.intrinsic("copysign", constant("float", 0.0, value.lanes), value), value)


def _basic(c: Context, i: Instruction) -> None:
    def apply(sources: Sequence[Value], _kind: ScalarType) -> Value:
        return c.e.binary(_OPERATIONS[i.base], sources[0], sources[1])

    _compute(c, i, apply)


def _fused(c: Context, i: Instruction) -> None:
    def apply(sources: Sequence[Value], kind: ScalarType) -> Value:
        first, second, third = sources
        if kind not in _BFLOATS:
            return to_odd(c, *two_sum(c, c.e.binary("fmul", first, second), third))
        left, right, addend = (c.e.cast("fpext", value, "double") for value in sources)
        return narrow_to_odd(c, to_odd(c, *two_sum(c, c.e.binary("fmul", left, right), addend)))

    _compute(c, i, apply)


def _sign(c: Context, i: Instruction) -> None:
    """`abs` and `neg` change the sign bit alone, of not-a-number too."""
    modifiers = Modifiers(i)
    modifiers.take("ftz")
    kind = modifiers.kind()
    modifiers.done()
    halves = c.e.reinterpret(source(c, i.operands[1], kind), "i16")
    value = c.e.number("and", halves, _NAN) if i.base == "abs" else c.e.number("xor", halves, -(2**15))
    c.result(i.operands[0], c.e.reinterpret(value, f"i{kind.bits}"))


def _extreme(c: Context, i: Instruction) -> None:
    def apply(sources: Sequence[Value], _kind: ScalarType) -> Value:
        name = f"{i.base}imum" if "NaN" in i.modifiers else f"{i.base}imumnum"
        value, signs = sources[0], "xorsign" in i.modifiers
        for other in sources[1:]:
            value = signed_extreme(c, name, value, other) if signs else c.e.intrinsic(name, value, other)
        return value

    _compute(c, i, apply, "NaN", "xorsign", "abs")


def _function(c: Context, i: Instruction) -> None:
    def apply(sources: Sequence[Value], _kind: ScalarType) -> Value:
        return FUNCTIONS[i.base](c, sources[0])

    _compute(c, i, apply, "approx")


TABLE: dict[str, Callable[[Context, Instruction], None]] = {
    "add": _basic,
    "sub": _basic,
    "mul": _basic,
    "fma": _fused,
    "abs": _sign,
    "neg": _sign,
    "min": _extreme,
    "max": _extreme,
    "ex2": _function,
    "tanh": _function,
}
