"""What instructions make of values that nothing has written, where it is not the union of their operands'.

A rule runs before its instruction is lowered. It says what the results hold, and reports operands that matter by
themselves: what decides about lanes, barriers and calls. Accesses to memory do their part where they are lowered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simgpu.analysis.operands import has_result, read
from simgpu.codegen.context import Context
from simgpu.codegen.program import UseKind
from simgpu.codegen.unwritten import NOWHERE, Lanes, lanes_of
from simgpu.codegen.values import Value, constant
from simgpu.ptx.syntax import Address, Immediate, Instruction, Operand, Pair, Register, ScalarType, Vector

_WORD = 32
_WIDE = frozenset({"b64", "u64", "s64"})


def follow(c: Context, i: Instruction) -> None:
    """Apply an instruction's rule, if it has one and reads what may be unwritten."""
    rule = _RULES.get(i.base)
    if rule is not None and c.unwritten.lanes(*read(i)):
        rule(c, i)


def _move(c: Context, i: Instruction) -> None:
    target, given = i.operands
    if isinstance(given, Vector):
        c.unwritten.give(target, _packed(c, given))
    elif isinstance(target, Vector):
        _unpack(c, target, c.unwritten.words(given))
    else:
        c.unwritten.give(target, c.unwritten.words(given))


def _packed(c: Context, given: Vector) -> list[Lanes]:
    """Return the words of a register that is made of pieces."""
    words = [c.unwritten.words(item) for item in given.items]
    narrow = [item.type.bits for item in given.items if isinstance(item, Register) and item.type.bits < _WORD]
    if not narrow:
        return [lanes for each in words for lanes in each]
    per_word = _WORD // narrow[0]
    return [
        c.unwritten.joined(lanes for each in words[first : first + per_word] for lanes in each)
        for first in range(0, len(words), per_word)
    ]


def _unpack(c: Context, target: Vector, words: Sequence[Lanes]) -> None:
    count = len(target.items)
    for place, item in enumerate(target.items):
        per_item = max(len(words) // count, 1)
        first = place * len(words) // count
        c.unwritten.give(item, words[first : first + per_item])


def _narrow(c: Context, i: Instruction) -> None:
    """`cvt` from 64 bits to an integer of fewer keeps the low word."""
    wide, short = i.modifiers[-1] in _WIDE, i.modifiers[-2][0] in "us" and i.modifiers[-2] not in _WIDE
    if wide and short:
        c.unwritten.give(i.operands[0], c.unwritten.words(i.operands[1])[:1])


def _shift(c: Context, i: Instruction) -> None:
    """Keep the high word where 64 bits are shifted to the right by a word or more."""
    amount = i.operands[2]
    words = c.unwritten.words(i.operands[1])
    if i.modifiers[-1] in _WIDE and isinstance(amount, Immediate) and amount.value >= _WORD and len(words) > 1:
        c.unwritten.give(i.operands[0], (words[1], words[1] if i.modifiers[-1] == "s64" else NOWHERE))


def _bitwise(c: Context, i: Instruction) -> None:
    if i.modifiers[-1] == "pred":
        if i.base in {"and", "or"}:
            c.unwritten.give(i.operands[0], [_either_decides(c, i)])
        return
    sides = [c.unwritten.words(operand) for operand in i.operands[1:]]
    count = max(map(len, sides))
    wide = [side for side in sides if len(side) == count]
    if count > 1:
        c.unwritten.give(i.operands[0], [c.unwritten.joined(words) for words in zip(*wide, strict=True)])


def _either_decides(c: Context, i: Instruction) -> Lanes:
    """`and` and `or` of predicates are known where one side that is written decides."""
    first, second = i.operands[1:3]
    one, other = c.unwritten.lanes(first), c.unwritten.lanes(second)
    open_first, open_second = (_undecided(c, i.base, operand) for operand in (first, second))
    number = c.unwritten.number
    parts = []
    if one and other:
        parts.append(c.e.binary("and", number(one), number(other)))
    if one:
        parts.append(c.e.binary("and", number(one), open_second))
    if other:
        parts.append(c.e.binary("and", number(other), open_first))
    return lanes_of(*parts)


def _undecided(c: Context, operation: str, operand: Operand) -> Value:
    """Return the lanes in which a predicate leaves the result of `and` or `or` to the other one."""
    held = _held(c, operand)
    return held if operation == "and" else c.e.number("xor", held, -1)


def _held(c: Context, predicate: Operand) -> Value:
    """Return the lanes in which a predicate holds."""
    value = c.source(predicate, ScalarType.PRED)
    if value.lanes == 1:
        return c.e.select(value, constant("i32", -1), constant("i32", 0))
    return c.bits(value)


def _compare(c: Context, i: Instruction) -> None:
    """`setp` that goes on to combine its result with a predicate, which may decide alone."""
    operation = next((name for name in i.modifiers if name in {"and", "or"}), None)
    compared, combined = c.unwritten.lanes(*i.operands[1:3]), i.operands[3:4]
    if operation is None or isinstance(i.operands[0], Pair) or not compared or not combined:
        return
    asked = c.e.binary("and", c.unwritten.number(compared), _undecided(c, operation, combined[0]))
    c.unwritten.give(i.operands[0], [c.unwritten.joined([lanes_of(asked), c.unwritten.lanes(combined[0])])])


def _select(c: Context, i: Instruction) -> None:
    """`selp` passes on the operand that it takes."""
    target, first, second, predicate = i.operands
    chooser = c.unwritten.lanes(predicate)
    pairs = list(zip(_as_many(c, first, target), _as_many(c, second, target), strict=True))
    if all(one == other for one, other in pairs):
        c.unwritten.give(target, [c.unwritten.joined([one, chooser]) for one, _ in pairs])
        return
    held = _held(c, predicate)
    rest = c.e.number("xor", held, -1)
    words = []
    for pair in pairs:
        parts = [
            lanes_of(c.e.binary("and", c.unwritten.number(lanes), taken))
            for lanes, taken in zip(pair, (held, rest), strict=True)
            if lanes
        ]
        words.append(c.unwritten.joined([*parts, chooser]))
    c.unwritten.give(target, words)


def _as_many(c: Context, operand: Operand, target: Operand) -> Sequence[Lanes]:
    """Return an operand's words, as many as the target has."""
    words, count = c.unwritten.words(operand), len(c.unwritten.words(target))
    return words if len(words) == count else (c.unwritten.joined(words),) * count


def _shuffle(c: Context, i: Instruction) -> None:
    c.unwritten.use(i, i.operands[2:], UseKind.LANES)


def _vote(c: Context, i: Instruction) -> None:
    if "sync" in i.modifiers:
        c.unwritten.use(i, i.operands[2:], UseKind.LANES)
    _look_at_all(c, i)


def _look_at_all(c: Context, i: Instruction) -> None:
    """Whatever some lane brings is in every result."""
    target = i.operands[0]
    shared = c.unwritten.everywhere(c.unwritten.lanes(*i.operands[1:]))
    for item in _targets(target):
        c.unwritten.give(item, [shared])


def _targets(target: Operand) -> Sequence[Operand]:
    if isinstance(target, Vector):
        return target.items
    return (target.first, target.second) if isinstance(target, Pair) else (target,)


def _multiply(c: Context, i: Instruction) -> None:
    """Sparse products and Volta's, for which the lowering does not tell apart what comes from where."""
    if i.modifiers[0].startswith("sp") or ("m8n8k4" in i.modifiers and "f64" not in i.modifiers):
        _look_at_all(c, i)


def _uses(kind: UseKind, first: int = 0) -> Callable[[Context, Instruction], None]:
    """Return the rule of instructions whose operands from `first` on, results and addresses left out, matter."""

    def rule(c: Context, i: Instruction) -> None:
        sources = i.operands[1 if has_result(i) else 0 :][first:]
        c.unwritten.use(i, [operand for operand in sources if not isinstance(operand, Address)], kind)

    return rule


_RULES: dict[str, Callable[[Context, Instruction], None]] = {
    "mov": _move,
    "cvt": _narrow,
    "shr": _shift,
    "and": _bitwise,
    "or": _bitwise,
    "xor": _bitwise,
    "not": _bitwise,
    "setp": _compare,
    "selp": _select,
    "shfl": _shuffle,
    "vote": _vote,
    "match": _vote,
    "redux": _vote,
    "elect": _vote,
    "mma": _multiply,
    "movmatrix": _look_at_all,
    "bar": _uses(UseKind.BARRIER),
    "barrier": _uses(UseKind.BARRIER),
    "mbarrier": _uses(UseKind.BARRIER),
    "call": _uses(UseKind.CALLED),
    "atom": _uses(UseKind.ATOMIC),
    "red": _uses(UseKind.ATOMIC),
    "cp": _uses(UseKind.COPIED),
}
