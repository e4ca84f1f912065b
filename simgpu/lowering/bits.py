"""Logic, shifts and bit fields (PTX ISA, 'Logic and Shift Instructions' and bit-field instructions)."""

from __future__ import annotations

from collections.abc import Callable

from simgpu.codegen.context import Context
from simgpu.codegen.values import Value, constant
from simgpu.lowering.modifiers import Modifiers
from simgpu.ptx.syntax import Immediate, Instruction, Pair, ScalarType

_BYTE = 0xFF
_NIBBLES = 8


def _kind(i: Instruction) -> ScalarType:
    modifiers = Modifiers(i)
    kind = modifiers.kind()
    modifiers.done()
    return kind


def _logic(c: Context, i: Instruction) -> None:
    kind = _kind(i)
    c.result(i.operands[0], c.e.binary(i.base, c.source(i.operands[1], kind), c.source(i.operands[2], kind)))


def _invert(c: Context, i: Instruction) -> None:
    kind = _kind(i)
    value = c.source(i.operands[1], kind)
    c.result(i.operands[0], c.e.number("xor", value, 1 if kind is ScalarType.PRED else -1))


def _count_not(c: Context, i: Instruction) -> None:
    """`cnot`: logical negation of a number."""
    value = c.source(i.operands[1], _kind(i))
    zero = c.e.compare("icmp eq", value, constant(value.element, 0, value.lanes))
    c.result(i.operands[0], c.e.cast("zext", zero, value.element))


def shift(c: Context, operation: str, value: Value, amount: Value) -> Value:
    """Shift with PTX's clamping: an amount past the width gives zero, or the sign."""
    value, amount = c.e.align(value, c.e.resize(amount, value.element))
    most = constant(value.element, value.bits - 1, value.lanes)
    if operation == "ashr":
        return c.e.binary("ashr", value, c.e.intrinsic("umin", amount, most))
    inside = c.e.compare("icmp ule", amount, most)
    bounded = c.e.binary("and", amount, most)
    return c.e.select(inside, c.e.binary(operation, value, bounded), constant(value.element, 0, value.lanes))


def _shift(c: Context, i: Instruction) -> None:
    kind = _kind(i)
    operation = "shl" if i.base == "shl" else "ashr" if kind.signed else "lshr"
    value, amount = c.source(i.operands[1], kind), i.operands[2]
    if isinstance(amount, Immediate) and 0 <= amount.value < kind.bits:
        c.result(i.operands[0], c.e.number(operation, value, amount.value))
        return
    wide = c.source(amount, ScalarType.U32)
    if value.bits < wide.bits:
        wide = c.e.intrinsic("umin", wide, constant("i32", value.bits, wide.lanes))
    c.result(i.operands[0], shift(c, operation, value, wide))


def _funnel(c: Context, i: Instruction) -> None:
    """`shf`: a 64-bit shift of two words, of which one word is kept."""
    modifiers = Modifiers(i)
    side, mode = modifiers.take("l", "r"), modifiers.take("wrap", "clamp")
    modifiers.kind()
    modifiers.done()
    low, high, amount = (c.source(operand, ScalarType.B32) for operand in i.operands[1:4])
    if mode == "clamp":
        amount = c.e.intrinsic("umin", amount, constant("i32", 32, amount.lanes))
    else:
        amount = c.e.number("and", amount, 31)
    both = c.e.binary("or", c.e.number("shl", c.e.resize(high, "i64"), 32), c.e.resize(low, "i64"))
    wide = c.e.resize(amount, "i64")
    value = c.e.binary("lshr", both, wide) if side == "r" else c.e.number("lshr", c.e.binary("shl", both, wide), 32)
    c.result(i.operands[0], c.e.cast("trunc", value, "i32"))


def _lookup(c: Context, i: Instruction) -> None:
    """`lop3`: any function of three bits, by its truth table."""
    modifiers = Modifiers(i)
    combine, kind = modifiers.take("and", "or", "xor"), modifiers.kind()
    modifiers.done()
    table = i.operands[4]
    if not isinstance(table, Immediate):
        raise c.unsupported(i, "the table must be a constant")
    first, second, third = c.e.align(*(c.source(operand, kind) for operand in i.operands[1:4]))
    total = constant(first.element, 0, first.lanes)
    for row in range(8):
        if not table.value >> row & 1:
            continue
        term = constant(first.element, -1, first.lanes)
        for value, wanted in ((first, row & 4), (second, row & 2), (third, row & 1)):
            term = c.e.binary("and", term, value if wanted else c.e.number("xor", value, -1))
        total = c.e.binary("or", total, term)
    target = i.operands[0]
    if isinstance(target, Pair):
        some = c.e.compare("icmp ne", total, constant(total.element, 0, total.lanes))
        c.result(target.second, c.e.binary(combine or "or", some, c.source(i.operands[5], ScalarType.PRED)))
        target = target.first
    c.result(target, total)


def _extract_field(c: Context, i: Instruction) -> None:
    kind = _kind(i)
    value = c.source(i.operands[1], kind)
    start, length = (c.e.number("and", c.source(operand, ScalarType.U32), _BYTE) for operand in i.operands[2:4])
    value, start, length = c.e.align(value, c.e.resize(start, value.element), c.e.resize(length, value.element))
    shifted = shift(c, "ashr" if kind.signed else "lshr", value, start)
    if not kind.signed:
        c.result(i.operands[0], c.e.binary("and", shifted, _low_ones(c, length)))
        return
    # The sign is that of the field's top bit, or of the value where the field reaches past it.
    width = constant(value.element, value.bits, value.lanes)
    left = c.e.binary("sub", width, c.e.intrinsic("umin", length, width))
    extended = shift(c, "ashr", shift(c, "shl", shifted, left), left)
    empty = c.e.compare("icmp eq", length, constant(value.element, 0, value.lanes))
    c.result(i.operands[0], c.e.select(empty, constant(value.element, 0, value.lanes), extended))


def _low_ones(c: Context, length: Value) -> Value:
    one = constant(length.element, 1, length.lanes)
    return c.e.number("sub", shift(c, "shl", one, length), 1)


def _insert_field(c: Context, i: Instruction) -> None:
    kind = _kind(i)
    field, base = c.source(i.operands[1], kind), c.source(i.operands[2], kind)
    start, length = (c.e.number("and", c.source(operand, ScalarType.U32), _BYTE) for operand in i.operands[3:5])
    field, base, start, length = c.e.align(
        field, base, c.e.resize(start, field.element), c.e.resize(length, field.element)
    )
    mask = shift(c, "shl", _low_ones(c, length), start)
    kept = c.e.binary("and", base, c.e.number("xor", mask, -1))
    c.result(i.operands[0], c.e.binary("or", kept, c.e.binary("and", shift(c, "shl", field, start), mask)))


def _field_mask(c: Context, i: Instruction) -> None:
    """`bmsk`: a run of ones of a given start and length."""
    modifiers = Modifiers(i)
    mode = modifiers.take("clamp", "wrap")
    kind = modifiers.kind()
    modifiers.done()
    start, length = c.e.align(c.source(i.operands[1], kind), c.source(i.operands[2], kind))
    if mode == "wrap":
        start, length = c.e.number("and", start, 31), c.e.number("and", length, 31)
    c.result(i.operands[0], shift(c, "shl", _low_ones(c, length), start))


def _extend(c: Context, i: Instruction) -> None:
    """`szext`: keep the low bits of a number and extend them by their sign or by zeros."""
    modifiers = Modifiers(i)
    mode = modifiers.take("clamp", "wrap")
    kind = modifiers.kind()
    modifiers.done()
    value, count = c.e.align(c.source(i.operands[1], kind), c.source(i.operands[2], ScalarType.U32))
    if mode == "wrap":
        count = c.e.number("and", count, 31)
    left = c.e.binary("sub", constant("i32", 32, count.lanes), c.e.intrinsic("umin", count, constant("i32", 32)))
    raised = shift(c, "shl", value, left)
    extended = shift(c, "ashr" if kind.signed else "lshr", raised, left)
    empty = c.e.compare("icmp eq", count, constant("i32", 0, count.lanes))
    c.result(i.operands[0], c.e.select(empty, constant("i32", 0, count.lanes), extended))


def _find_nth(c: Context, i: Instruction) -> None:
    """`fns`: the place of the n-th set bit at or above (n > 0) or at or below (n < 0) a start; all ones if none."""
    if i.modifiers != ("b32",):
        raise c.unsupported(i)
    mask, start, count = c.e.align(*(c.source(operand, ScalarType.B32) for operand in i.operands[1:4]))
    zero, one, none = (constant("i32", number, mask.lanes) for number in (0, 1, -1))
    down = c.e.compare("icmp slt", count, zero)
    wanted = c.e.intrinsic("umax", c.e.intrinsic("abs", count, extra="i1 false"), one)
    here = c.e.compare("icmp eq", count, zero)
    found = none
    for place in range(32):
        spot = constant("i32", place, mask.lanes)
        above = c.e.binary("and", _low_ones(c, constant("i32", place + 1, mask.lanes)), _high_ones(c, start))
        below = c.e.binary("and", constant("i32", -(1 << place), mask.lanes), _low_ones(c, c.e.number("add", start, 1)))
        between = c.e.intrinsic("ctpop", c.e.binary("and", mask, c.e.select(down, below, above)))
        is_set = c.e.number("and", c.e.number("lshr", mask, place), 1)
        fits = c.e.binary("and", c.e.compare("icmp ne", is_set, zero), c.e.compare("icmp eq", between, wanted))
        fits = c.e.select(here, c.e.binary("and", fits, c.e.compare("icmp eq", start, spot)), fits)
        found = c.e.select(fits, spot, found)
    c.result(i.operands[0], found)


def _high_ones(c: Context, start: Value) -> Value:
    return shift(c, "shl", constant("i32", -1, start.lanes), start)


def _count(c: Context, i: Instruction) -> None:
    """`popc`, `clz` and `brev`."""
    value = c.source(i.operands[1], _kind(i))
    if i.base == "brev":
        c.result(i.operands[0], c.e.intrinsic("bitreverse", value))
        return
    name, extra = ("ctpop", "") if i.base == "popc" else ("ctlz", "i1 false")
    c.result(i.operands[0], c.e.resize(c.e.intrinsic(name, value, extra=extra), "i32"))


def _find_bit(c: Context, i: Instruction) -> None:
    """`bfind`: the place of the highest bit that differs from the sign, or all ones."""
    modifiers = Modifiers(i)
    amount, kind = modifiers.has("shiftamt"), modifiers.kind()
    modifiers.done()
    value = c.source(i.operands[1], kind)
    if kind.signed:
        value = c.e.binary("xor", value, c.e.number("ashr", value, kind.bits - 1))
    zeros = c.e.resize(c.e.intrinsic("ctlz", value, extra="i1 false"), "i32")
    found = zeros if amount else c.e.binary("sub", constant("i32", kind.bits - 1, zeros.lanes), zeros)
    none = c.e.compare("icmp eq", value, constant(value.element, 0, value.lanes))
    c.result(i.operands[0], c.e.select(none, constant("i32", -1, found.lanes), found))


_BYTE_ORDERS = {
    "f4e": (0x3210, 0x4321, 0x5432, 0x6543), "b4e": (0x5670, 0x6701, 0x7012, 0x0123),
    "rc8": (0x0000, 0x1111, 0x2222, 0x3333), "ecl": (0x3210, 0x3211, 0x3222, 0x3333),
    "ecr": (0x0000, 0x1110, 0x2210, 0x3210), "rc16": (0x1010, 0x3232, 0x1010, 0x3232),
}  # fmt: skip
"""The byte selectors that the two low bits of `prmt`'s last operand choose in its special modes."""


def _byte_order(c: Context, i: Instruction, mode: str) -> Value:
    chosen = c.e.number("and", c.source(i.operands[3], ScalarType.B32), 3)
    total = constant("i32", 0, chosen.lanes)
    for number, order in enumerate(_BYTE_ORDERS[mode]):
        here = c.e.compare("icmp eq", chosen, constant("i32", number, chosen.lanes))
        total = c.e.select(here, constant("i32", order, chosen.lanes), total)
    return total


def _permute_bytes(c: Context, i: Instruction) -> None:
    """`prmt`: each result byte is one of the eight source bytes, or its sign."""
    modifiers = Modifiers(i)
    mode = modifiers.take(*_BYTE_ORDERS)
    modifiers.take("b32")
    modifiers.done()
    low, high, selector = (c.source(operand, ScalarType.B32) for operand in i.operands[1:4])
    both = c.e.binary("or", c.e.number("shl", c.e.resize(high, "i64"), 32), c.e.resize(low, "i64"))
    choice = i.operands[3] if mode is None else None
    if mode is not None:
        selector = _byte_order(c, i, mode)
    total = constant("i32", 0, 1)
    for place in range(4):
        if isinstance(choice, Immediate):
            nibble = constant("i32", choice.value >> 4 * place & 15)
        else:
            nibble = c.e.number("and", c.e.number("lshr", selector, 4 * place), 15)
        amount = c.e.resize(c.e.number("shl", c.e.number("and", nibble, _NIBBLES - 1), 3), "i64")
        byte = c.e.number("and", c.e.cast("trunc", c.e.binary("lshr", both, amount), "i32"), _BYTE)
        sign = c.e.number("ashr", c.e.number("shl", byte, 24), 31)
        signed = c.e.compare("icmp ugt", nibble, constant("i32", _NIBBLES - 1, nibble.lanes))
        chosen = c.e.number("and", c.e.select(signed, sign, byte), _BYTE)
        total = c.e.binary("or", total, c.e.number("shl", chosen, 8 * place))
    c.result(i.operands[0], total)


TABLE: dict[str, Callable[[Context, Instruction], None]] = {
    "and": _logic,
    "or": _logic,
    "xor": _logic,
    "not": _invert,
    "cnot": _count_not,
    "shl": _shift,
    "shr": _shift,
    "shf": _funnel,
    "lop3": _lookup,
    "bfe": _extract_field,
    "bfi": _insert_field,
    "bmsk": _field_mask,
    "szext": _extend,
    "fns": _find_nth,
    "popc": _count,
    "clz": _count,
    "brev": _count,
    "bfind": _find_bit,
    "prmt": _permute_bytes,
}
