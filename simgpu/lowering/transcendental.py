"""The approximate functions of the special-function units, in single precision.

Each is a range reduction and a minimax polynomial (fitted by Lawson's iteration), more accurate than the PTX ISA
demands: `ex2` and `lg2` to about one unit in the last place, `sin` and `cos` reduced in double precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from simgpu.codegen.context import Context
from simgpu.codegen.values import Value, constant
from simgpu.lowering.modifiers import Modifiers
from simgpu.lowering.rounding import flush
from simgpu.ptx.syntax import Instruction

_EXP2 = (
    1.0, 0.6931471824645996, 0.24022646248340607, 0.05550328642129898, 0.009618489071726799, 0.0013399932067841291,
    0.0001534580806037411,
)  # fmt: skip
_LOG2 = (
    1.4426950216293335, -0.7213473320007324, 0.4808982312679291, -0.3606966435909271, 0.2885673940181732,
    -0.23961739242076874, 0.2046007513999939, -0.1910630166530609, 0.18617433309555054, -0.10994816571474075,
)  # fmt: skip
_SIN = (
    0.9999999999999949, -0.16666666666614516, 0.008333333323584319, -0.00019841263162056295, 2.7555246108254385e-06,
    -2.4754852052041487e-08,
)  # fmt: skip
_COS = (
    0.9999999999999328, -0.4999999999926777, 0.04166666653317482, -0.0013888879908137335, 2.4798838891504384e-05,
    -2.7167601222780167e-07,
)  # fmt: skip
_SQRT_HALF_BITS = 0x3F3504F3
_EXPONENT_BITS = 23
_SUBNORMAL_SCALE = 25


def _polynomial(c: Context, coefficients: Sequence[float], x: Value) -> Value:
    """Evaluate by Horner's rule with fused multiply-adds; the lowest coefficient comes first."""
    total = constant(x.element, coefficients[-1], x.lanes)
    for coefficient in reversed(coefficients[:-1]):
        total = c.e.intrinsic("fma", total, x, constant(x.element, coefficient, x.lanes))
    return total


def _scale(c: Context, exponent: Value) -> Value:
    """Return two to an integer power within the normal range."""
    return c.e.cast("bitcast", c.e.number("shl", c.e.number("add", exponent, 127), _EXPONENT_BITS), "float")


def exp2(c: Context, x: Value) -> Value:
    """Two to the power `x`; results below the normal range come out in two steps, rounded once."""
    lanes = x.lanes
    bounded = c.e.select(
        c.e.compare("fcmp olt", x, constant("float", 129.0, lanes)), x, constant("float", 129.0, lanes)
    )
    bounded = c.e.select(
        c.e.compare("fcmp ogt", bounded, constant("float", -151.0, lanes)), bounded, constant("float", -151.0, lanes)
    )
    whole = c.e.intrinsic("roundeven", bounded)
    value = _polynomial(c, _EXP2, c.e.binary("fsub", bounded, whole))
    exponent = c.e.cast("fptosi", whole, "i32")
    half = c.e.number("ashr", exponent, 1)
    value = c.e.binary("fmul", value, _scale(c, half))
    value = c.e.binary("fmul", value, _scale(c, c.e.binary("sub", exponent, half)))
    return c.e.select(c.e.compare("fcmp uno", x, x), x, value)


def log2(c: Context, x: Value) -> Value:
    """Logarithm to base two, with the limits at zero, infinity and below zero."""
    lanes = x.lanes
    tiny = c.e.compare("fcmp olt", x, constant("float", 2.0**-126, lanes))
    scaled = c.e.select(tiny, c.e.binary("fmul", x, constant("float", 2.0**_SUBNORMAL_SCALE, lanes)), x)
    bits = c.e.number("sub", c.e.cast("bitcast", scaled, "i32"), _SQRT_HALF_BITS)
    exponent = c.e.number("ashr", bits, _EXPONENT_BITS)
    mantissa = c.e.number("add", c.e.number("and", bits, (1 << _EXPONENT_BITS) - 1), _SQRT_HALF_BITS)
    t = c.e.binary("fsub", c.e.cast("bitcast", mantissa, "float"), constant("float", 1.0, lanes))
    shift = c.e.select(tiny, constant("i32", _SUBNORMAL_SCALE, lanes), constant("i32", 0, lanes))
    whole = c.e.cast("sitofp", c.e.binary("sub", exponent, shift), "float")
    value = c.e.intrinsic("fma", t, _polynomial(c, _LOG2, t), whole)
    zero, infinity = constant("float", 0.0, lanes), constant("float", math.inf, lanes)
    value = c.e.select(c.e.compare("fcmp oeq", x, infinity), infinity, value)
    value = c.e.select(c.e.compare("fcmp oeq", x, zero), constant("float", -math.inf, lanes), value)
    return c.e.select(c.e.compare("fcmp ult", x, zero), constant("float", math.nan, lanes), value)


def _circular(c: Context, x: Value, quarter: int) -> Value:
    """Sine of `x` plus a number of quarter turns."""
    lanes = x.lanes
    wide = c.e.cast("fpext", x, "double")
    turns = c.e.intrinsic("roundeven", c.e.binary("fmul", wide, constant("double", 2 / math.pi, lanes)))
    rest = c.e.intrinsic("fma", turns, constant("double", -math.pi / 2, lanes), wide)
    rest = c.e.intrinsic("fma", turns, constant("double", -6.123233995736766e-17, lanes), rest)
    square = c.e.binary("fmul", rest, rest)
    sine = c.e.binary("fmul", rest, _polynomial(c, _SIN, square))
    cosine = _polynomial(c, _COS, square)
    quadrant = c.e.number("add", c.e.intrinsic("fptosi.sat", turns, result="i64"), quarter)
    odd = c.e.compare("icmp ne", c.e.number("and", quadrant, 1), constant("i64", 0, lanes))
    value = c.e.select(odd, cosine, sine)
    low = c.e.compare("icmp ne", c.e.number("and", quadrant, 2), constant("i64", 0, lanes))
    return c.e.cast("fptrunc", c.e.select(low, c.e.unary("fneg", value), value), "float")


def sine(c: Context, x: Value) -> Value:
    """Sine."""
    return _circular(c, x, 0)


def cosine(c: Context, x: Value) -> Value:
    """Cosine."""
    return _circular(c, x, 1)


def tanh(c: Context, x: Value) -> Value:
    """Hyperbolic tangent: by the exponential, or two terms of its series near zero."""
    lanes = x.lanes
    one = constant("float", 1.0, lanes)
    power = exp2(c, c.e.binary("fmul", x, constant("float", 2 / math.log(2), lanes)))
    quotient = c.e.binary("fdiv", constant("float", 2.0, lanes), c.e.binary("fadd", power, one))
    square = c.e.binary("fmul", x, x)
    series = c.e.binary("fmul", x, c.e.intrinsic("fma", square, constant("float", -1 / 3, lanes), one))
    small = c.e.compare("fcmp olt", square, constant("float", 2.0**-10, lanes))
    return c.e.select(small, series, c.e.binary("fsub", one, quotient))


FUNCTIONS: dict[str, Callable[[Context, Value], Value]] = {
    "ex2": exp2,
    "lg2": log2,
    "sin": sine,
    "cos": cosine,
    "tanh": tanh,
}


def _lower(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    modifiers.take("approx")
    ftz = modifiers.has("ftz")
    kind = modifiers.kind()
    modifiers.done()
    if kind.value != "f32":
        raise c.unsupported(i)
    x = c.source(i.operands[1], kind)
    value = FUNCTIONS[i.base](c, flush(c, x) if ftz else x)
    c.result(i.operands[0], flush(c, value) if ftz else value)


TABLE: dict[str, Callable[[Context, Instruction], None]] = dict.fromkeys(FUNCTIONS, _lower)
