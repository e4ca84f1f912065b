"""8-bit floats, always in pairs, and TF32 (PTX ISA, 'Alternate Floating-Point Data Formats' and `cvt`)."""

from __future__ import annotations

from dataclasses import dataclass

from simgpu.codegen.context import Context
from simgpu.codegen.values import Value, constant
from simgpu.lowering.half import round_to, widen
from simgpu.lowering.modifiers import Modifiers
from simgpu.ptx.syntax import Instruction, ScalarType

_SIGN = 0x80
_NAN = 0x7F
_SINGLE_MANTISSA = 23
_SINGLE_BIAS = 127
_TF32_DROPPED = 13
_SINGLE_INFINITY = 0x7F800000


@dataclass(frozen=True, slots=True)
class EightBitFormat:
    """An 8-bit float's mantissa bits, exponent bias and largest number."""

    mantissa: int
    bias: int
    largest: float

    @property
    def least_exponent(self) -> int:
        """The exponent of the least normal number, with single precision's bias."""
        return _SINGLE_BIAS + 1 - self.bias


EIGHT_BIT_FORMATS = {"e4m3": EightBitFormat(3, 7, 448.0), "e5m2": EightBitFormat(2, 15, 57344.0)}
_PAIRS = {f"{name}x2": form for name, form in EIGHT_BIT_FORMATS.items()}


def widen_eight(c: Context, bits: Value, form: EightBitFormat) -> Value:
    """Return single-precision values of 8-bit floats."""
    half_bits = c.e.number("shl", c.e.cast("zext", bits, "i16"), 8)
    if form.mantissa == 2:  # noqa: PLR2004 - the upper byte of a half
        return c.e.cast("fpext", c.e.cast("bitcast", half_bits, "half"), "float")
    # Sign and magnitude apart: a half with the same exponent bits is 2^8 times too small.
    sign = c.e.number("and", half_bits, -(2**15))
    magnitude = c.e.number("lshr", c.e.number("and", half_bits, 0x7F00), 1)
    small = c.e.cast("bitcast", c.e.binary("or", sign, magnitude), "half")
    value = c.e.binary("fmul", c.e.cast("fpext", small, "float"), constant("float", 256.0, bits.lanes))
    low = c.e.number("and", bits, _NAN)
    is_nan = c.e.compare("icmp eq", low, constant("i8", _NAN, bits.lanes))
    return c.e.select(is_nan, constant("float", float("nan"), bits.lanes), value)


def _narrow_eight(c: Context, value: Value, form: EightBitFormat) -> Value:
    """Round single precision to the nearest 8-bit float, even on a tie, clamped to the largest."""
    lanes = value.lanes
    bits = c.e.cast("bitcast", value, "i32")
    size = c.e.intrinsic("minnum", c.e.intrinsic("fabs", value), constant("float", form.largest, lanes))
    exponent = c.e.number("lshr", c.e.cast("bitcast", size, "i32"), _SINGLE_MANTISSA)
    exponent = c.e.intrinsic("umax", exponent, constant("i32", form.least_exponent, lanes))
    top = constant("i32", 2 * _SINGLE_BIAS + form.mantissa, lanes)
    scale = c.e.cast("bitcast", c.e.number("shl", c.e.binary("sub", top, exponent), _SINGLE_MANTISSA), "float")
    whole = c.e.cast("fptoui", c.e.intrinsic("roundeven", c.e.binary("fmul", size, scale)), "i32")
    steps = c.e.number("shl", c.e.number("sub", exponent, form.least_exponent), form.mantissa)
    code = c.e.binary("add", whole, steps)
    code = c.e.select(c.e.compare("fcmp uno", value, value), constant("i32", _NAN, lanes), code)
    sign = c.e.number("and", c.e.number("lshr", bits, 24), _SIGN)
    return c.e.cast("trunc", c.e.binary("or", code, sign), "i8")


def is_eight_bit(i: Instruction) -> bool:
    """Whether a `cvt` reads or writes 8-bit floats."""
    return any(name in _PAIRS for name in i.modifiers)


def convert_eight_bit(c: Context, i: Instruction) -> None:
    """`cvt` between pairs of 8-bit floats and wider ones; the first of two sources goes to the upper half."""
    modifiers = Modifiers(i)
    modifiers.take("rn")
    saturates, relu = modifiers.has("satfinite"), modifiers.has("relu")
    target, given = modifiers.rest(2)
    if target == "f16x2" and given in _PAIRS and not saturates:
        _widen_pair(c, i, _PAIRS[given], relu=relu)
        return
    form = _PAIRS.get(target)
    if form is None or not saturates or given not in {"f32", "f16x2"}:
        raise c.unsupported(i)
    if given == "f32":
        high, low = (c.source(operand, ScalarType.F32) for operand in i.operands[1:3])
    else:
        packed = c.source(i.operands[1], ScalarType.B32)
        pieces = (c.e.cast("trunc", packed, "i16"), c.e.cast("trunc", c.e.number("lshr", packed, 16), "i16"))
        low, high = (widen(c, piece, ScalarType.F16) for piece in pieces)
    if relu:
        high, low = (c.e.intrinsic("maximum", one, constant("float", 0.0, one.lanes)) for one in (high, low))
    upper, lower = (c.e.cast("zext", _narrow_eight(c, one, form), "i16") for one in (high, low))
    c.result(i.operands[0], c.e.binary("or", c.e.number("shl", upper, 8), lower))


def _widen_pair(c: Context, i: Instruction, form: EightBitFormat, *, relu: bool) -> None:
    packed = c.source(i.operands[1], ScalarType.B16)
    total: Value | None = None
    for place in range(2):
        value = widen_eight(c, c.e.cast("trunc", c.e.number("lshr", packed, 8 * place), "i8"), form)
        if relu:
            value = c.e.intrinsic("maximum", value, constant("float", 0.0, value.lanes))
        half = c.e.number("shl", c.e.cast("zext", round_to(c, value, ScalarType.F16), "i32"), 16 * place)
        total = half if total is None else c.e.binary("or", total, half)
    if total is not None:
        c.result(i.operands[0], total)


def convert_tf32(c: Context, i: Instruction) -> None:
    """`cvt` to TF32: single precision with 10 bits of mantissa; `rna` rounds ties away from zero."""
    modifiers = Modifiers(i)
    mode, relu, saturates = modifiers.take("rna", "rn", "rz"), modifiers.has("relu"), modifiers.has("satfinite")
    target, given = modifiers.rest(2)
    if (target, given) != ("tf32", "f32") or mode is None:
        raise c.unsupported(i)
    value = c.source(i.operands[1], ScalarType.F32)
    if relu:
        value = c.e.intrinsic("maximum", value, constant("float", 0.0, value.lanes))
    bits = c.e.cast("bitcast", value, "i32")
    half = 1 << _TF32_DROPPED - 1
    raised = bits
    if mode == "rna":
        raised = c.e.number("add", bits, half)
    elif mode == "rn":
        odd = c.e.number("and", c.e.number("lshr", bits, _TF32_DROPPED), 1)
        raised = c.e.binary("add", bits, c.e.number("add", odd, half - 1))
    rounded = c.e.number("and", raised, -(1 << _TF32_DROPPED))
    exponent = c.e.number("and", bits, _SINGLE_INFINITY)
    special = c.e.compare("icmp eq", exponent, constant("i32", _SINGLE_INFINITY, bits.lanes))
    rounded = c.e.select(special, bits, rounded)
    if saturates:
        rounded = _clamp_tf32(c, value, rounded)
    c.result(i.operands[0], rounded)


def _clamp_tf32(c: Context, value: Value, rounded: Value) -> Value:
    """Replace infinities by the largest finite number."""
    infinite = c.e.compare(
        "icmp eq", c.e.number("and", rounded, 0x7FFFFFFF), constant("i32", _SINGLE_INFINITY, rounded.lanes)
    )
    sign = c.e.number("and", c.e.cast("bitcast", value, "i32"), -(2**31))
    most = c.e.number("or", sign, _SINGLE_INFINITY - (1 << _TF32_DROPPED))
    return c.e.select(infinite, most, rounded)
