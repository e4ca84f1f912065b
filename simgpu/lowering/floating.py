"""Single and double precision arithmetic (PTX ISA, 'Floating Point Instructions')."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simgpu.codegen.context import Context
from simgpu.codegen.values import Value, constant
from simgpu.lowering.modifiers import Modifiers
from simgpu.lowering.rounding import flush, narrow, saturate, two_sum
from simgpu.ptx.syntax import Instruction, ScalarType

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
    if mode != "rn" and kind is ScalarType.F64:
        raise c.unsupported(i, "directed rounding of double precision")
    value = apply(sources, mode)
    if ftz:
        value = flush(c, value)
    c.result(i.operands[0], saturate(c, value) if sat else value)


def _basic(c: Context, i: Instruction) -> None:
    def apply(sources: Sequence[Value], mode: str) -> Value:
        first, second = sources
        if mode == "rn":
            return c.e.binary(_OPERATIONS[i.base], first, second)
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
    return narrow(c, total, error, mode)


def _fused(c: Context, i: Instruction) -> None:
    def apply(sources: Sequence[Value], mode: str) -> Value:
        first, second, third = sources
        if mode == "rn":
            return c.e.intrinsic("fma", first, second, third)
        left, right, addend = (c.e.cast("fpext", source, "double") for source in sources)
        total, error = two_sum(c, c.e.binary("fmul", left, right), addend)
        return narrow(c, total, error, mode)

    _compute(c, i, apply)


def _divide(c: Context, i: Instruction) -> None:
    def apply(sources: Sequence[Value], mode: str) -> Value:
        first, second = sources
        quotient = c.e.binary("fdiv", first, second)
        if mode == "rn":
            return quotient
        # The remainder's sign, exact in double precision, tells on which side the rounded quotient lies.
        wide = [c.e.cast("fpext", source, "double") for source in sources]
        total = c.e.binary("fdiv", wide[0], wide[1])
        rest = c.e.intrinsic("fma", c.e.unary("fneg", total), wide[1], wide[0])
        return narrow(
            c, total, c.e.binary("fmul", rest, c.e.intrinsic("copysign", constant("double", 1.0), wide[1])), mode
        )

    _compute(c, i, apply, also=("approx", "full"))


def _sign(c: Context, i: Instruction) -> None:
    def apply(sources: Sequence[Value], _mode: str) -> Value:
        if i.base == "abs":
            return c.e.intrinsic("fabs", sources[0])
        return c.e.unary("fneg", sources[0])

    _compute(c, i, apply)


def _extreme(c: Context, i: Instruction) -> None:
    def apply(sources: Sequence[Value], _mode: str) -> Value:
        name = f"{i.base}imum" if "NaN" in i.modifiers else f"{i.base}imumnum"
        value = sources[0]
        for other in sources[1:]:
            value = c.e.intrinsic(name, value, other)
        return value

    _compute(c, i, apply, also=("NaN",))


def _reciprocal(c: Context, i: Instruction) -> None:
    def apply(sources: Sequence[Value], mode: str) -> Value:
        if mode != "rn":
            raise c.unsupported(i, "directed rounding")
        return c.e.binary("fdiv", constant(sources[0].element, 1.0, sources[0].lanes), sources[0])

    _compute(c, i, apply, also=("approx",))


def _square_root(c: Context, i: Instruction) -> None:
    def apply(sources: Sequence[Value], mode: str) -> Value:
        root = c.e.intrinsic("sqrt", sources[0])
        if i.base == "rsqrt":
            return c.e.binary("fdiv", constant(root.element, 1.0, root.lanes), root)
        if mode == "rn":
            return root
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
