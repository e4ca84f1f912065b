"""`cvt`: conversions between types with every rounding mode (PTX ISA, 'Data Movement and Conversion: cvt')."""

from __future__ import annotations

from collections.abc import Callable

from simgpu.codegen.context import Context, element_of
from simgpu.codegen.values import Value, constant
from simgpu.lowering.eight import convert_eight_bit, convert_tf32, is_eight_bit
from simgpu.lowering.half import round_to, source, widen
from simgpu.lowering.modifiers import Modifiers
from simgpu.lowering.rounding import directed, flush, narrow, narrow_to_odd, saturate, to_odd, two_sum
from simgpu.ptx.syntax import Instruction, ScalarType

_HALVES = {ScalarType.F16, ScalarType.BF16}
_PACKED = {ScalarType.F16X2: ScalarType.F16, ScalarType.BF16X2: ScalarType.BF16}
_INTEGRAL = {"rni": "roundeven", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}
_ROUNDINGS = ("rn", "rz", "rm", "rp")
_SINGLE_EXACT = 24
_DOUBLE_EXACT = 53
_WORD = 64


class _Options:
    """The modifiers of one `cvt`."""

    def __init__(self, i: Instruction) -> None:
        modifiers = Modifiers(i)
        self.integral = modifiers.take(*_INTEGRAL)
        self.mode = modifiers.take(*_ROUNDINGS) or "rn"
        self.ftz = modifiers.has("ftz")
        self.sat = modifiers.has("sat")
        self.relu = modifiers.has("relu")
        self.target = modifiers.kind()
        self.given = modifiers.kind()
        modifiers.done()


def _convert(c: Context, i: Instruction) -> None:
    if is_eight_bit(i):
        convert_eight_bit(c, i)
        return
    if "pack" in i.modifiers:
        _pack(c, i)
        return
    if "tf32" in i.modifiers:
        convert_tf32(c, i)
        return
    options = _Options(i)
    if options.target in _PACKED:
        _convert_packed(c, i, options)
        return
    if options.given in _PACKED:
        raise c.unsupported(i)
    if options.given.floating:
        value = _read_float(c, i, options)
        if options.target.floating:
            c.result(i.operands[0], _float_to_float(c, value, options))
        else:
            c.result(i.operands[0], _float_to_integer(c, value, options))
        return
    value = c.source(i.operands[1], options.given)
    if options.target.floating:
        c.result(i.operands[0], _integer_to_float(c, value, options))
    else:
        _result_integer(c, i, _integer_to_integer(c, value, options), options)


def _read_float(c: Context, i: Instruction, options: _Options) -> Value:
    if options.given in _HALVES:
        return widen(c, source(c, i.operands[1], options.given), options.given)
    value = c.source(i.operands[1], options.given)
    return flush(c, value) if options.ftz and options.given is ScalarType.F32 else value


def _float_to_float(c: Context, value: Value, options: _Options) -> Value:
    if options.integral is not None:
        value = c.e.intrinsic(_INTEGRAL[options.integral], value)
    if options.target in _HALVES:
        return _to_half(c, value, options)
    element = element_of(options.target)
    if value.element == "double" and element == "float":
        value = narrow(c, value, None, options.mode)
    elif value.element != element:
        value = c.e.cast("fpext", value, element)
    if options.ftz and element == "float":
        value = flush(c, value)
    if options.relu:
        value = c.e.intrinsic("maximum", value, constant(element, 0.0, value.lanes))
    return saturate(c, value) if options.sat else value


def _to_half(c: Context, value: Value, options: _Options) -> Value:
    """Round to a 16-bit float; other modes step to the neighbour where rounding to nearest went the wrong way."""
    if value.element == "double":
        value = narrow_to_odd(c, value)
    if options.sat:
        value = saturate(c, value)
    if options.relu:
        value = c.e.intrinsic("maximum", value, constant("float", 0.0, value.lanes))
    near = round_to(c, value, options.target)
    if options.mode == "rn":
        return near
    back = widen(c, near, options.target)
    if options.mode == "rz":
        away = c.e.compare("fcmp ogt", c.e.intrinsic("fabs", back), c.e.intrinsic("fabs", value))
        return c.e.select(away, c.e.number("sub", near, 1), near)
    wrong = c.e.compare("fcmp ogt" if options.mode == "rm" else "fcmp olt", back, value)
    negative = c.e.compare("icmp slt", near, constant("i16", 0, near.lanes))
    grows = negative if options.mode == "rm" else c.e.number("xor", negative, 1)
    stepped = c.e.select(grows, c.e.number("add", near, 1), c.e.number("sub", near, 1))
    zero = c.e.compare("fcmp oeq", back, constant("float", 0.0, back.lanes))
    least = constant("i16", -(2**15) + 1 if options.mode == "rm" else 1, near.lanes)
    return c.e.select(wrong, c.e.select(zero, least, stepped), near)


def _convert_packed(c: Context, i: Instruction, options: _Options) -> None:
    """Pack two single-precision values: the first source goes to the upper half."""
    if options.given is not ScalarType.F32 or len(i.operands) != 3:  # noqa: PLR2004 - destination and two sources
        raise c.unsupported(i)
    options.target = _PACKED[options.target]
    high, low = (
        c.e.cast("zext", _to_half(c, c.source(operand, ScalarType.F32), options), "i32") for operand in i.operands[1:]
    )
    c.result(i.operands[0], c.e.binary("or", c.e.number("shl", high, 16), low))


def _float_to_integer(c: Context, value: Value, options: _Options) -> Value:
    """Round, clamp to the target's range; not-a-number gives zero, or the top bit with 64-bit types."""
    rounded = c.e.intrinsic(_INTEGRAL[options.integral or "rzi"], value)
    target = options.target
    element = f"i{target.bits}"
    sign = "s" if target.signed else "u"
    number = c.e.intrinsic(f"fpto{sign}i.sat", rounded, result=element)
    if target.bits < _WORD and options.given is not ScalarType.F64:
        return number
    invalid = constant(element, -(1 << target.bits - 1), number.lanes)
    return c.e.select(c.e.compare("fcmp uno", value, value), invalid, number)


def _integer_to_float(c: Context, value: Value, options: _Options) -> Value:
    operation = "sitofp" if options.given.signed else "uitofp"
    target = options.target
    wide = value.bits > _DOUBLE_EXACT
    if target in _HALVES:
        if wide:
            total = to_odd(c, *_exact_double(c, value, signed=options.given.signed))
        else:
            total = c.e.cast(operation, value, "double" if value.bits > _SINGLE_EXACT else "float")
        return _to_half(c, total, options)
    if options.mode == "rn":
        return c.e.cast(operation, value, element_of(target))
    if not wide:
        total, error = c.e.cast(operation, value, "double"), constant("double", 0.0, value.lanes)
    else:
        total, error = _exact_double(c, value, signed=options.given.signed)
    return (
        directed(c, total, error, options.mode) if target is ScalarType.F64 else narrow(c, total, error, options.mode)
    )


def _exact_double(c: Context, value: Value, *, signed: bool) -> tuple[Value, Value]:
    """Return a 64-bit integer as a double and the double that it is off by."""
    high = c.e.number("ashr" if signed else "lshr", value, 32)
    low = c.e.number("and", value, 0xFFFFFFFF)
    upper = c.e.cast("sitofp" if signed else "uitofp", high, "double")
    scaled = c.e.binary("fmul", upper, constant("double", 2.0**32, value.lanes))
    return two_sum(c, scaled, c.e.cast("uitofp", low, "double"))


def _integer_to_integer(c: Context, value: Value, options: _Options) -> Value:
    target, given = options.target, options.given
    if options.sat:
        value = _clamp(c, value, given, target)
    return c.e.resize(value, f"i{target.bits}", signed=given.signed)


def _pack(c: Context, i: Instruction) -> None:
    """`cvt.pack`: clamp two integers to a narrow type and put them before what the fourth operand holds."""
    modifiers = Modifiers(i)
    modifiers.take("pack")
    modifiers.take("sat")
    target, given = modifiers.kind(), modifiers.kind()
    modifiers.take("b32")
    modifiers.done()
    high, low = (_clamp(c, c.source(operand, given), given, target) for operand in i.operands[1:3])
    upper, lower = (c.e.resize(c.e.resize(one, f"i{target.bits}"), "i32") for one in (high, low))
    total = c.e.binary("or", c.e.number("shl", upper, target.bits), lower)
    if len(i.operands) > 3:  # noqa: PLR2004 - narrow types leave room for earlier results
        total = c.e.binary("or", c.e.number("shl", c.source(i.operands[3], ScalarType.B32), 2 * target.bits), total)
    c.result(i.operands[0], total)


def _clamp(c: Context, value: Value, given: ScalarType, target: ScalarType) -> Value:
    low = -(1 << target.bits - 1) if target.signed else 0
    high = (1 << target.bits - (1 if target.signed else 0)) - 1
    least = -(1 << given.bits - 1) if given.signed else 0
    most = (1 << given.bits - (1 if given.signed else 0)) - 1
    sign = "s" if given.signed else "u"
    if high < most:
        value = c.e.intrinsic(f"{sign}min", value, constant(value.element, high, value.lanes))
    if low > least:
        value = c.e.intrinsic(f"{sign}max", value, constant(value.element, low, value.lanes))
    return value


def _result_integer(c: Context, i: Instruction, value: Value, options: _Options) -> None:
    """Write an integer; a destination register wider than the type is sign- or zero-extended."""
    c.extended_result(i.operands[0], value, signed=options.target.signed)


TABLE: dict[str, Callable[[Context, Instruction], None]] = {"cvt": _convert}
