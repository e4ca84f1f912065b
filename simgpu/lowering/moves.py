"""Moves, comparisons and selections (PTX ISA, 'Comparison and Selection' and 'mov')."""

from __future__ import annotations

from collections.abc import Callable

from simgpu.codegen.context import Context, integer_element
from simgpu.codegen.values import Value, constant
from simgpu.lowering.half import round_to, source, widen
from simgpu.lowering.modifiers import Modifiers
from simgpu.lowering.rounding import flush
from simgpu.ptx.syntax import Instruction, Operand, Pair, ScalarType, Space, Symbol, Vector
from simgpu.runtime import state

_HALF_KINDS = {ScalarType.F16, ScalarType.BF16, ScalarType.F16X2, ScalarType.BF16X2}
_SIGNED = {"eq": "eq", "ne": "ne", "lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge"}
_UNSIGNED = {"eq": "eq", "ne": "ne", "lt": "ult", "le": "ule", "gt": "ugt", "ge": "uge", "lo": "ult", "ls": "ule",
             "hi": "ugt", "hs": "uge"}  # fmt: skip
_FLOATING = {
    "eq": "oeq", "ne": "one", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "equ": "ueq", "neu": "une",
    "ltu": "ult", "leu": "ule", "gtu": "ugt", "geu": "uge", "num": "ord", "nan": "uno",
}  # fmt: skip
_COMPARISONS = tuple(dict.fromkeys((*_UNSIGNED, *_FLOATING)))
_WINDOWS = {"shared": state.SHARED_WINDOW, "local": state.LOCAL_WINDOW}


def _move(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    kind = modifiers.kind()
    modifiers.done()
    target, given = i.operands
    if isinstance(given, Vector):
        _pack(c, target, given, kind)
    elif isinstance(target, Vector):
        _unpack(c, target, given, kind)
    else:
        c.result(target, c.source(given, kind))


def _pack(c: Context, target: Operand, given: Vector, kind: ScalarType) -> None:
    width = kind.bits // len(given.items)
    piece = ScalarType(f"b{width}")
    total: Value | None = None
    for place, item in enumerate(given.items):
        value = c.e.resize(c.source(item, piece), integer_element(kind))
        if place:
            value = c.e.number("shl", value, place * width)
        total = value if total is None else c.e.binary("or", total, value)
    if total is not None:
        c.result(target, total)


def _unpack(c: Context, target: Vector, given: Operand, kind: ScalarType) -> None:
    width = kind.bits // len(target.items)
    value = c.source(given, ScalarType(f"b{kind.bits}"))
    for place, item in enumerate(target.items):
        piece = c.e.number("lshr", value, place * width) if place else value
        c.result(item, c.e.cast("trunc", piece, f"i{width}"))


def _convert_address(c: Context, i: Instruction) -> None:
    """`cvta`: global and constant addresses are generic ones; shared and local have windows."""
    modifiers = Modifiers(i)
    back = modifiers.has("to")
    space = modifiers.take("global", "shared::cta", "shared", "local", "const", "param")
    kind = modifiers.kind()
    modifiers.done()
    if space is None:
        raise c.unsupported(i)
    value = c.source(i.operands[1], kind)
    window = _WINDOWS.get(space.partition("::")[0])
    if window is not None:
        if kind.bits != 64:  # noqa: PLR2004 - windows lie above 32 bits
            raise c.unsupported(i)
        value = c.e.number("and", value, (1 << 56) - 1) if back else c.e.number("or", value, window)
    c.result(i.operands[0], value)


def compare(c: Context, test: str, first: Value, second: Value, kind: ScalarType) -> Value:
    """Compare values of a type by the name of a PTX comparison."""
    if first.element in {"float", "double", "half"}:
        return c.e.compare(f"fcmp {_FLOATING[test]}", first, second)
    return c.e.compare(f"icmp {(_SIGNED if kind.signed else _UNSIGNED)[test]}", first, second)


def _compared(c: Context, i: Instruction, modifiers: Modifiers) -> tuple[Value, Value, ScalarType]:
    """Return the comparison at the start of `setp` and `set`, its opposite, and its type."""
    test = modifiers.take(*_COMPARISONS)
    combine = modifiers.take("and", "or", "xor")
    ftz = modifiers.has("ftz")
    target = modifiers.kind() if i.base == "set" else None
    kind = modifiers.kind()
    modifiers.done()
    if test is None:
        raise c.unsupported(i)
    operands = i.operands[1:3]
    if kind in _HALF_KINDS:
        bits = c.e.align(*(source(c, operand, kind) for operand in operands))
        values = [widen(c, value, kind) for value in bits]
    else:
        values = [c.source(operand, kind) for operand in operands]
    if ftz:
        values = [flush(c, value) for value in values]
    held = compare(c, test, values[0], values[1], kind)
    opposite = c.e.number("xor", held, 1)
    if combine is not None:
        more = c.source(i.operands[3], ScalarType.PRED)
        held, opposite = c.e.binary(combine, held, more), c.e.binary(combine, opposite, more)
    return held, opposite, target or kind


def _set_predicate(c: Context, i: Instruction) -> None:
    held, opposite, kind = _compared(c, i, Modifiers(i))
    target = i.operands[0]
    if kind in {ScalarType.F16X2, ScalarType.BF16X2}:
        if not isinstance(target, Pair):
            raise c.unsupported(i)
        _set_halves(c, target, held)
    elif isinstance(target, Pair):
        c.result(target.first, held)
        c.result(target.second, opposite)
    else:
        c.result(target, held)


def _set_halves(c: Context, target: Pair, held: Value) -> None:
    for place, operand in enumerate((target.first, target.second)):
        lanes = range(place, held.lanes, 2)
        chosen = c.e.extract(held, place) if len(lanes) == 1 else c.e.shuffle(held, lanes)
        c.result(operand, chosen)


def _set_number(c: Context, i: Instruction) -> None:
    held, _, target = _compared(c, i, Modifiers(i))
    if target is ScalarType.F32:
        c.result(i.operands[0], c.e.cast("uitofp", held, "float"))
    elif target in _HALF_KINDS:
        c.result(i.operands[0], round_to(c, c.e.cast("uitofp", held, "float"), target))
    elif {"f16x2", "bf16x2"} & set(i.modifiers):
        c.result(i.operands[0], c.e.reinterpret(c.e.cast("sext", held, "i16"), "i32"))
    elif target in {ScalarType.U32, ScalarType.S32, ScalarType.U16, ScalarType.S16}:
        c.result(i.operands[0], c.e.cast("sext", held, integer_element(target)))
    else:
        raise c.unsupported(i)


def _select(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    kind = modifiers.kind()
    modifiers.done()
    first, second = c.source(i.operands[1], kind), c.source(i.operands[2], kind)
    c.result(i.operands[0], c.e.select(c.source(i.operands[3], ScalarType.PRED), first, second))


def _select_by_sign(c: Context, i: Instruction) -> None:
    """`slct`: the first operand where the third is not negative."""
    modifiers = Modifiers(i)
    ftz, kind, tested = modifiers.has("ftz"), modifiers.kind(), modifiers.kind()
    modifiers.done()
    number = c.source(i.operands[3], tested)
    if ftz:
        number = flush(c, number)
    zero = constant(number.element, 0, number.lanes)
    positive = compare(c, "ge", number, zero, tested)
    c.result(i.operands[0], c.e.select(positive, c.source(i.operands[1], kind), c.source(i.operands[2], kind)))


def _is_space(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    space = modifiers.take("global", "shared::cta", "shared", "local", "const", "param")
    modifiers.done()
    given = i.operands[1]
    if isinstance(given, Symbol):
        known = c.symbol_space(given.name)
        c.result(i.operands[0], constant("i1", known is not None and known == Space((space or "").partition("::")[0])))
        return
    top = c.e.number("lshr", c.source(given, ScalarType.B64), 56)
    window = _WINDOWS.get((space or "").partition("::")[0], 0) >> 56
    c.result(i.operands[0], c.e.compare("icmp eq", top, constant("i64", window, top.lanes)))


TABLE: dict[str, Callable[[Context, Instruction], None]] = {
    "mov": _move,
    "cvta": _convert_address,
    "setp": _set_predicate,
    "set": _set_number,
    "selp": _select,
    "slct": _select_by_sign,
    "isspacep": _is_space,
}
