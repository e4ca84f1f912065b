"""Single and double precision arithmetic (PTX ISA, 'Floating Point Instructions')."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simgpu.codegen.context import Context
from simgpu.codegen.values import Value, constant
from simgpu.lowering import exact
from simgpu.lowering.modifiers import Modifiers
from simgpu.lowering.rounding import directed, flush, narrow, saturate, sum_of_zero, two_sum
from simgpu.ptx.syntax import Instruction

_ROUNDINGS = ("rn", "rz", "rm", "rp")
_OPERATIONS = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}


def _compute(
    c: Context, i: Instruction, apply: Callable[[Sequence[Value], str], Value], *, also: Sequence[str] = ()
) -> None:
    """Read the sources, apply, write; `.ftz` flushes both ends and `.sat` clamps. `also` are accepted modifiers."""
    modifiers = Modifiers(i)
    mode = modifiers.take(*_ROUNDINGS) or "rn"
    ftz, sat = modifiers.has("ftz"), modifiers.has("sat")
    for name in also:
        modifiers.take(name)
    kind = modifiers.kind()
    modifiers.done()
    sources = c.e.align(*(c.source(operand, kind) for operand in i.operands[1:]))
    if ftz:
        sources = tuple(flush(c, source) for source in sources)
    value = apply(sources, mode)
    if ftz:
        value = flush(c, value)
    c.result(i.operands[0], saturate(c, value) if sat else value)


def _basic(c: Context, i: Instruction) -> None:
    def apply(sources: Sequence[Value], mode: str) -> Value:
        first, second = sources
        if mode == "rn":
            return c.e.binary(_OPERATIONS[i.base], first, second)
        if first.element == "double":
            return _directed_double(c, i.base, first, second, mode)
        return _directed(c, i.base, first, second, mode)

    _compute(c, i, apply)


def _directed(c: Context, base: str, first: Value, second: Value, mode: str) -> Value:
    """Compute in double precision, where a product is exact and a sum's error is known."""
    left, right = c.e.cast("fpext", first, "double"), c.e.cast("fpext", second, "double")
    if base == "mul":
        return narrow(c, c.e.binary("fmul", left, right), None, mode)
    if base == "sub":
        right = c.e.unary("fneg", right)
    total, error = two_sum(c, left, right)
    return _sum(c, narrow(c, total, error, mode), total, error, left, right, down=mode == "rm")


def _directed_double(c: Context, base: str, first: Value, second: Value, mode: str) -> Value:
    if base == "mul":
        near = c.e.binary("fmul", first, second)
        return directed(c, near, exact.product_error(c, first, second, near), mode)
    if base == "sub":
        second = c.e.unary("fneg", second)
    near, error = exact.sum_error(c, first, second)
    return _sum(c, directed(c, near, error, mode), near, error, first, second, down=mode == "rm")


def _sum(c: Context, value: Value, near: Value, error: Value, *terms: Value, down: bool) -> Value:
    """Return a rounded sum of two terms, with the sign that rounding down gives an exact zero."""
    if not down:
        return value
    zero = constant(near.element, 0.0, near.lanes)
    empty = c.e.binary("and", c.e.compare("fcmp oeq", near, zero), c.e.compare("fcmp oeq", error, zero))
    first, second = terms
    return sum_of_zero(c, value, empty, first, second)


def _fused(c: Context, i: Instruction) -> None:
    def apply(sources: Sequence[Value], mode: str) -> Value:
        first, second, third = sources
        if mode == "rn":
            return c.e.intrinsic("fma", first, second, third)
        if first.element == "double":
            near = c.e.intrinsic("fma", first, second, third)
            error = exact.fused_error(c, first, second, third, near)
            product = c.e.binary("fmul", first, second)
            return _sum(c, directed(c, near, error, mode), near, error, product, third, down=mode == "rm")
        left, right, addend = (c.e.cast("fpext", source, "double") for source in sources)
        product = c.e.binary("fmul", left, right)
        total, error = two_sum(c, product, addend)
        return _sum(c, narrow(c, total, error, mode), total, error, product, addend, down=mode == "rm")

    _compute(c, i, apply)


def _quotient(c: Context, first: Value, second: Value, mode: str) -> Value:
    quotient = c.e.binary("fdiv", first, second)
    if mode == "rn":
        return quotient
    if quotient.element == "double":
        return directed(c, quotient, exact.quotient_error(c, first, second, quotient), mode)
    # The remainder's sign, exact in double precision, tells on which side the rounded quotient lies.
    wide = [c.e.cast("fpext", source, "double") for source in (first, second)]
    total = c.e.binary("fdiv", wide[0], wide[1])
    rest = c.e.intrinsic("fma", c.e.unary("fneg", total), wide[1], wide[0])
    sign = c.e.intrinsic("copysign", constant("double", 1.0), wide[1])
    return narrow(c, total, c.e.binary("fmul", rest, sign), mode)


def _divide(c: Context, i: Instruction) -> None:
    def apply(sources: Sequence[Value], mode: str) -> Value:
        first, second = sources
        return _quotient(c, first, second, mode)

    _compute(c, i, apply, also=("approx", "full"))


def _sign(c: Context, i: Instruction) -> None:
    def apply(sources: Sequence[Value], _mode: str) -> Value:
        if i.base == "abs":
            return c.e.intrinsic("fabs", sources[0])
        return c.e.unary("fneg", sources[0])

    _compute(c, i, apply)


def signed_extreme(c: Context, name: str, first: Value, second: Value) -> Value:
    """`.xorsign.abs`: the extreme of the magnitudes, with the product's sign."""
    value = c.e.intrinsic(name, c.e.intrinsic("fabs", first), c.e.intrinsic("fabs", second))
    word = f"i{first.bits}"
    sign = c.e.binary("xor", c.e.cast("bitcast", first, word), c.e.cast("bitcast", second, word))
    return c.e.intrinsic("copysign", value, c.e.cast("bitcast", sign, value.element))


def _extreme(c: Context, i: Instruction) -> None:
    def apply(sources: Sequence[Value], _mode: str) -> Value:
        name = f"{i.base}imum" if "NaN" in i.modifiers else f"{i.base}imumnum"
        value, signs = sources[0], "xorsign" in i.modifiers
        for other in sources[1:]:
            value = signed_extreme(c, name, value, other) if signs else c.e.intrinsic(name, value, other)
        return value

    _compute(c, i, apply, also=("NaN", "xorsign", "abs"))


def _reciprocal(c: Context, i: Instruction) -> None:
    def apply(sources: Sequence[Value], mode: str) -> Value:
        return _quotient(c, constant(sources[0].element, 1.0, sources[0].lanes), sources[0], mode)

    _compute(c, i, apply, also=("approx",))


def _square_root(c: Context, i: Instruction) -> None:
    def apply(sources: Sequence[Value], mode: str) -> Value:
        root = c.e.intrinsic("sqrt", sources[0])
        if i.base == "rsqrt":
            return c.e.binary("fdiv", constant(root.element, 1.0, root.lanes), root)
        if mode == "rn":
            return root
        if root.element == "double":
            return directed(c, root, exact.root_error(c, sources[0], root), mode)
        wide = c.e.cast("fpext", sources[0], "double")
        total = c.e.intrinsic("sqrt", wide)
        rest = c.e.intrinsic("fma", c.e.unary("fneg", total), total, wide)
        return narrow(c, total, rest, mode)

    _compute(c, i, apply, also=("approx",))


def _copy_sign(c: Context, i: Instruction) -> None:
    def apply(sources: Sequence[Value], _mode: str) -> Value:
        return c.e.intrinsic("copysign", sources[1], sources[0])

    _compute(c, i, apply)


_CLASSES = {"notanumber": 3, "number": 0x3FC, "infinite": 0x204, "finite": 0x1F8, "normal": 0x108, "subnormal": 0x90}
"""Masks of `llvm.is.fpclass`. PTX counts zero as neither normal nor subnormal."""


def _test(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    name, kind = modifiers.take(*_CLASSES), modifiers.kind()
    modifiers.done()
    if name is None:
        raise c.unsupported(i)
    value = c.source(i.operands[1], kind)
    kind_name = {"float": "f32", "double": "f64"}[value.element]
    suffix = kind_name if value.lanes == 1 else f"v{value.lanes}{kind_name}"
    target = Value("", "i1", value.lanes).type
    c.e.declarations.add(f"declare {target} @llvm.is.fpclass.{suffix}({value.type}, i32)")
    text = f"call {target} @llvm.is.fpclass.{suffix}({value.typed}, i32 {_CLASSES[name]})"
    c.result(i.operands[0], c.e.value(text, "i1", value.lanes))


TABLE: dict[str, Callable[[Context, Instruction], None]] = {
    "add": _basic,
    "sub": _basic,
    "mul": _basic,
    "fma": _fused,
    "mad": _fused,
    "div": _divide,
    "abs": _sign,
    "neg": _sign,
    "min": _extreme,
    "max": _extreme,
    "rcp": _reciprocal,
    "sqrt": _square_root,
    "rsqrt": _square_root,
    "copysign": _copy_sign,
    "testp": _test,
}
