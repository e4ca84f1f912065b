"""Exact rounding in modes that LLVM's plain arithmetic does not offer.

A result that is known exactly as a double and a double error (Knuth's two-sum) is rounded to single precision in
any of PTX's directions; rounding to odd first makes a second rounding to a narrower type exact (Boldo and
Melquiond, 'Emulation of FMA and correctly rounded sums', 2008).
"""

from __future__ import annotations

from simgpu.codegen.context import Context
from simgpu.codegen.values import Value, constant

_SMALLEST_NORMAL = {"float": 2.0**-126, "double": 2.0**-1022, "half": 2.0**-14}


def flush(c: Context, value: Value) -> Value:
    """Replace a subnormal number by a zero of its sign, as `.ftz` asks."""
    small = c.e.compare(
        "fcmp olt", c.e.intrinsic("fabs", value), constant(value.element, _SMALLEST_NORMAL[value.element], value.lanes)
    )
    zero = c.e.intrinsic("copysign", constant(value.element, 0.0, value.lanes), value)
    return c.e.select(small, zero, value)


def saturate(c: Context, value: Value) -> Value:
    """Clamp to [0, 1]; not-a-number becomes 0."""
    zero, one = constant(value.element, 0.0, value.lanes), constant(value.element, 1.0, value.lanes)
    positive = c.e.select(c.e.compare("fcmp ogt", value, zero), value, zero)
    return c.e.select(c.e.compare("fcmp olt", positive, one), positive, one)


def two_sum(c: Context, first: Value, second: Value) -> tuple[Value, Value]:
    """Return the rounded sum and its exact error."""
    first, second = c.e.align(first, second)
    total = c.e.binary("fadd", first, second)
    back = c.e.binary("fsub", total, first)
    left = c.e.binary("fsub", first, c.e.binary("fsub", total, back))
    return total, c.e.binary("fadd", left, c.e.binary("fsub", second, back))


def to_odd(c: Context, total: Value, error: Value) -> Value:
    """Round the exact sum ``total + error`` to odd: truncated, with the last bit set unless it was exact."""
    bits_element = f"i{total.bits}"
    bits = c.e.cast("bitcast", total, bits_element)
    zero = constant(total.element, 0.0, total.lanes)
    inexact = c.e.compare("fcmp one", error, zero)
    opposite = c.e.compare(
        "icmp slt",
        c.e.binary("xor", bits, c.e.cast("bitcast", error, bits_element)),
        constant(bits_element, 0, bits.lanes),
    )
    truncated = c.e.select(c.e.binary("and", inexact, opposite), c.e.number("sub", bits, 1), bits)
    odd = c.e.select(inexact, c.e.number("or", truncated, 1), bits)
    return c.e.cast("bitcast", odd, total.element)


def narrow_to_odd(c: Context, value: Value) -> Value:
    """Round doubles to single precision, to odd."""
    near = c.e.cast("fptrunc", value, "float")
    back = c.e.cast("fpext", near, "double")
    error = c.e.binary("fsub", value, back)
    infinite = c.e.compare("fcmp oeq", c.e.intrinsic("fabs", back), constant("double", float("inf"), back.lanes))
    quiet = c.e.select(infinite, constant("double", 0.0, back.lanes), error)
    odd = c.e.number("or", c.e.cast("bitcast", near, "i32"), 1)
    wrong_side = c.e.compare(
        "icmp slt",
        c.e.binary("xor", c.e.cast("bitcast", back, "i64"), c.e.cast("bitcast", quiet, "i64")),
        constant("i64", 0, back.lanes),
    )
    lower = c.e.number("or", c.e.number("sub", c.e.cast("bitcast", near, "i32"), 1), 1)
    inexact = c.e.compare("fcmp one", quiet, constant("double", 0.0, back.lanes))
    chosen = c.e.select(inexact, c.e.select(wrong_side, lower, odd), c.e.cast("bitcast", near, "i32"))
    return c.e.cast("bitcast", chosen, "float")


def narrow(c: Context, total: Value, error: Value | None, mode: str) -> Value:
    """Round the exact double ``total + error`` to single precision: `rn`, `rz`, `rm` or `rp`.

    `rn` ignores the error, so it needs an exact total.
    """
    near = c.e.cast("fptrunc", total, "float")
    if mode == "rn":
        return near
    back = c.e.cast("fpext", near, "double")
    if error is None:
        error = constant("double", 0.0, total.lanes)
    same = c.e.compare("fcmp oeq", back, total)
    zero = constant("double", 0.0, total.lanes)
    above = c.e.binary(
        "or", c.e.compare("fcmp ogt", back, total), c.e.binary("and", same, c.e.compare("fcmp olt", error, zero))
    )
    below = c.e.binary(
        "or", c.e.compare("fcmp olt", back, total), c.e.binary("and", same, c.e.compare("fcmp ogt", error, zero))
    )
    if mode == "rm":
        return c.e.select(above, _neighbour(c, near, up=False), near)
    if mode == "rp":
        return c.e.select(below, _neighbour(c, near, up=True), near)
    negative = c.e.compare("fcmp olt", total, zero)
    toward_zero = c.e.select(negative, below, above)
    stepped = c.e.number("sub", c.e.cast("bitcast", near, "i32"), 1)
    return c.e.select(toward_zero, c.e.cast("bitcast", stepped, "float"), near)


def directed(c: Context, near: Value, error: Value, mode: str) -> Value:
    """Correct a number rounded to nearest to another direction, by the sign of what it misses."""
    zero = constant(near.element, 0.0, near.lanes)
    above, below = c.e.compare("fcmp olt", error, zero), c.e.compare("fcmp ogt", error, zero)
    if mode == "rm":
        return c.e.select(above, _neighbour(c, near, up=False), near)
    if mode == "rp":
        return c.e.select(below, _neighbour(c, near, up=True), near)
    away = c.e.binary(
        "or",
        c.e.binary("and", above, c.e.compare("fcmp ogt", near, zero)),
        c.e.binary("and", below, c.e.compare("fcmp olt", near, zero)),
    )
    stepped = c.e.number("sub", c.e.cast("bitcast", near, f"i{near.bits}"), 1)
    return c.e.select(away, c.e.cast("bitcast", stepped, near.element), near)


def sum_of_zero(c: Context, value: Value, empty: Value, first: Value, second: Value) -> Value:
    """Give an exact zero, where `empty` holds, the sign of rounding down: negative unless both terms were +0."""
    word = f"i{first.bits}"
    signs = c.e.binary("or", c.e.cast("bitcast", first, word), c.e.cast("bitcast", second, word))
    negative = c.e.compare("icmp slt", signs, constant(word, 0, signs.lanes))
    return c.e.select(c.e.binary("and", empty, negative), constant(value.element, -0.0, value.lanes), value)


def _neighbour(c: Context, value: Value, *, up: bool) -> Value:
    """Return the next number above or below."""
    word = f"i{value.bits}"
    bits = c.e.cast("bitcast", value, word)
    negative = c.e.compare("icmp slt", bits, constant(word, 0, bits.lanes))
    grow, shrink = c.e.number("add", bits, 1), c.e.number("sub", bits, 1)
    stepped = c.e.select(negative, shrink, grow) if up else c.e.select(negative, grow, shrink)
    zero = c.e.compare("fcmp oeq", value, constant(value.element, 0.0, value.lanes))
    first = constant(word, 1 if up else -(1 << value.bits - 1) + 1, bits.lanes)
    return c.e.cast("bitcast", c.e.select(zero, first, stepped), value.element)
