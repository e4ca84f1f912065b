"""Which registers may hold what nothing has written: loads, and all that is computed from what they load.

A load of a bit field's word that goes back to its place with some bits replaced, as compilers insert into bit fields,
is none of them: what is told apart are words, and the word counts as written then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence

from simgpu.analysis.operands import read, written
from simgpu.ptx.syntax import Address, Function, Immediate, Instruction, Register, Symbol

_LOADS = frozenset({"ld", "ldu", "ldmatrix"})
_READERS = _LOADS | {"atom", "mbarrier"}
"""What they return is in memory, not computed from their operands."""
_CERTAIN = frozenset({"const", "param", "param::entry", "param::func"})
_ELSEWHERE = frozenset({"global", "shared", "shared::cta", "const"})
_MOVES = frozenset({"mov"})
_MERGES = frozenset({"and", "or", "bfi"})

_Uses = Mapping[Register, Sequence[Instruction]]


def reads_memory(functions: Iterable[Function]) -> bool:
    """Whether any load may find memory that nothing has written."""
    return any(_may_find(item) for function in functions for item in _instructions(function))


def suspects(function: Function, passed: Container[str], merging: Container[Instruction]) -> frozenset[int]:
    """Return the indices of registers that may hold what nothing has written.

    `passed` are the `.param` variables by which calls pass values, `merging` the loads that are left out.
    """
    uses = _uses(function)
    work = [
        register
        for item in _instructions(function)
        if (_may_find(item) and item not in merging) or (item.base in _LOADS and _names(item, passed))
        for register in written(item)
    ]
    found: set[int] = set()
    while work:
        register = work.pop()
        if register.index in found:
            continue
        found.add(register.index)
        work += [target for use in uses.get(register, ()) if _computes(use) for target in written(use)]
    return frozenset(found)


def merging_loads(function: Function) -> frozenset[Instruction]:
    """Return the loads of local or generic memory whose value only goes back to its place with some bits replaced."""
    uses = _uses(function)
    return frozenset(
        item
        for item in _instructions(function)
        if item.base == "ld" and not (_ELSEWHERE | _CERTAIN).intersection(item.modifiers) and _only_merges(item, uses)
    )


def feeding_loads(function: Function, registers: Iterable[Register]) -> frozenset[Instruction]:
    """Return the loads that what registers hold may come from, through other registers."""
    makers: defaultdict[Register, list[Instruction]] = defaultdict(list)
    for item in _instructions(function):
        for register in written(item):
            makers[register].append(item)
    work, seen, found = list(registers), set[Register](), set[Instruction]()
    while work:
        register = work.pop()
        if register in seen:
            continue
        seen.add(register)
        for maker in makers[register]:
            if not _computes(maker):
                found.add(maker)
            else:
                work += _sources(maker)
    return frozenset(found)


def _instructions(function: Function) -> list[Instruction]:
    return [item for item in function.body or () if isinstance(item, Instruction)]


def _sources(item: Instruction) -> tuple[Register, ...]:
    return read(item) if item.predicate is None else (*read(item), item.predicate)


def _uses(function: Function) -> dict[Register, list[Instruction]]:
    uses: defaultdict[Register, list[Instruction]] = defaultdict(list)
    for item in _instructions(function):
        for register in _sources(item):
            uses[register].append(item)
    return uses


def _computes(item: Instruction) -> bool:
    return item.base not in _READERS and not (item.base == "wmma" and "load" in item.modifiers)


def _may_find(item: Instruction) -> bool:
    loads = item.base in _LOADS or (item.base == "wmma" and "load" in item.modifiers)
    return loads and not _CERTAIN.intersection(item.modifiers)


def _names(load: Instruction, variables: Container[str]) -> bool:
    place = load.operands[1]
    return isinstance(place, Address) and isinstance(place.base, Symbol) and place.base.name in variables


def _only_merges(load: Instruction, uses: _Uses) -> bool:
    """Follow a loaded value through moves, and through the merging of other bits into it, to the stores at the end."""
    seen: set[tuple[Register, bool]] = set()
    work = [(register, False) for register in written(load)]
    while work:
        register, merged = work.pop()
        if (register, merged) in seen:
            continue
        seen.add((register, merged))
        for use in uses.get(register, ()):
            if use.base == "st":
                if not merged or use.operands[0] != load.operands[1] or register in _addressing(use):
                    return False
            elif use.base in _MOVES or (use.base in _MERGES and _masks(use, register)):
                work += [(target, merged or use.base in _MERGES) for target in written(use)]
            else:
                return False
    return True


def _masks(use: Instruction, register: Register) -> bool:
    """Whether a merge keeps some bits of a register as they are: an `and` with a constant, an `or`, an insertion."""
    if use.base == "and":
        return any(isinstance(operand, Immediate) for operand in use.operands)
    return use.base == "or" or use.operands[2] is register


def _addressing(store: Instruction) -> tuple[Register, ...]:
    place = store.operands[0]
    base = place.base if isinstance(place, Address) else None
    return (base,) if isinstance(base, Register) else ()
