"""What a double-precision result rounded to nearest misses: a double with the sign of (exact - result).

Each error is computed without rounding by a fused multiply-add (Boldo and Melquiond, 'Emulation of FMA and correctly
rounded sums', 2008; Boldo and Muller, 'Exact and approximated error of the FMA', 2011). Operands are scaled by powers
of two first where the error would fall below the least subnormal number, or an intermediate would overflow.
"""

from __future__ import annotations

from simgpu.codegen.context import Context
from simgpu.codegen.values import Value, constant
from simgpu.lowering.rounding import two_sum

_TINY = 2.0**-900
"""Results below this may have errors that are no doubles."""
_HUGE = 2.0**900
_LIFT = 2.0**600
_ROOT_LIFT = 2.0**300
_DROP = 2.0**-200


def _size(c: Context, value: Value) -> Value:
    return c.e.intrinsic("fabs", value)


def _below(c: Context, value: Value, limit: float) -> Value:
    return c.e.compare("fcmp olt", _size(c, value), constant("double", limit, value.lanes))


def _times(c: Context, value: Value, factor: float, where: Value) -> Value:
    return c.e.select(where, c.e.binary("fmul", value, constant("double", factor, value.lanes)), value)


def _both(c: Context, first: Value, second: Value) -> Value:
    return c.e.binary("and", first, second)


def _missing(c: Context, total: Value, factor: Value, other: Value) -> Value:
    """Return ``total - factor * other`` with the sign turned: a fused ``factor * other - total``."""
    return c.e.intrinsic("fma", factor, other, c.e.unary("fneg", total))


def sum_error(c: Context, first: Value, second: Value) -> tuple[Value, Value]:
    """Return a sum and what it misses; a sum that overflowed misses the opposite of itself."""
    total, error = two_sum(c, first, second)
    infinity = constant("double", float("inf"), total.lanes)
    finite = _both(c, _below(c, first, float("inf")), _below(c, second, float("inf")))
    over = _both(c, finite, c.e.compare("fcmp oeq", _size(c, total), infinity))
    return total, c.e.select(over, c.e.unary("fneg", total), error)


def product_error(c: Context, first: Value, second: Value, near: Value) -> Value:
    """Return what a product misses."""
    tiny = _below(c, near, _TINY)
    lift_first, lift_second = _both(c, tiny, _below(c, first, 1.0)), _both(c, tiny, _below(c, second, 1.0))
    total = _times(c, _times(c, near, _LIFT, lift_first), _LIFT, lift_second)
    return _missing(c, total, _times(c, first, _LIFT, lift_first), _times(c, second, _LIFT, lift_second))


def quotient_error(c: Context, first: Value, second: Value, near: Value) -> Value:
    """Return what a quotient misses: its remainder with the sign of the divisor."""
    tiny = _below(c, first, _TINY)
    small = _below(c, second, 1.0)
    divisor = _times(c, second, _LIFT, _both(c, tiny, small))
    large = c.e.number("xor", small, 1)
    quotient = _times(c, near, _LIFT, _both(c, tiny, large))
    rest = c.e.intrinsic("fma", c.e.unary("fneg", quotient), divisor, _times(c, first, _LIFT, tiny))
    sign = c.e.intrinsic("copysign", constant("double", 1.0, second.lanes), second)
    return c.e.binary("fmul", rest, sign)


def root_error(c: Context, given: Value, near: Value) -> Value:
    """Return what a square root misses, up to a positive factor."""
    tiny = _below(c, given, _TINY)
    root = _times(c, near, _ROOT_LIFT, tiny)
    return c.e.intrinsic("fma", c.e.unary("fneg", root), root, _times(c, given, _LIFT, tiny))


def fused_error(c: Context, first: Value, second: Value, third: Value, near: Value) -> Value:
    """Return what a fused multiply-add misses."""
    first, second, third, near = _scaled(c, first, second, third, near)
    product = c.e.binary("fmul", first, second)
    rest = _missing(c, product, first, second)
    low, lowest = two_sum(c, third, rest)
    high, middle = two_sum(c, product, low)
    gap = c.e.binary("fadd", c.e.binary("fsub", high, near), middle)
    error = c.e.binary("fadd", gap, lowest)
    infinity = constant("double", float("inf"), near.lanes)
    finite = _below(c, third, float("inf"))
    for factor in (first, second):
        finite = _both(c, finite, _below(c, factor, float("inf")))
    over = _both(c, finite, c.e.compare("fcmp oeq", _size(c, near), infinity))
    return c.e.select(over, c.e.unary("fneg", near), error)


def _scaled(c: Context, first: Value, second: Value, third: Value, near: Value) -> tuple[Value, Value, Value, Value]:
    """Scale a multiply-add so that none of its parts over- or underflows and the sign of its error stays."""
    product = c.e.binary("fmul", first, second)
    zero = constant("double", 0.0, first.lanes)
    real = _both(c, c.e.compare("fcmp une", first, zero), c.e.compare("fcmp une", second, zero))
    tiny = _both(c, real, _below(c, product, _TINY))
    slight = _below(c, third, 1.0 / _ROOT_LIFT)
    # Beside a much larger addend only the product's sign counts.
    lost = _both(c, tiny, c.e.number("xor", slight, 1))
    stand_in = constant("double", 2.0**-500, first.lanes)
    lifted = _both(c, tiny, slight)
    lift_first, lift_second = _both(c, lifted, _below(c, first, 1.0)), _both(c, lifted, _below(c, second, 1.0))
    huge = c.e.compare("fcmp ogt", _size(c, product), constant("double", _HUGE, first.lanes))
    least = c.e.intrinsic("copysign", constant("double", 2.0**-700, third.lanes), third)
    speck = _both(c, huge, _both(c, c.e.compare("fcmp une", third, zero), _below(c, third, 1.0 / _LIFT)))
    factors = []
    for value, lift in ((first, lift_first), (second, lift_second)):
        scaled = _times(c, value, _LIFT, lift)
        factors.append(c.e.select(lost, c.e.intrinsic("copysign", stand_in, value), scaled))
    left = _times(c, factors[0], _DROP, huge)
    addend, total = (
        _times(c, _times(c, _times(c, value, _LIFT, lift_first), _LIFT, lift_second), _DROP, huge)
        for value in (third, near)
    )
    return left, factors[1], c.e.select(speck, least, addend), total
