"""Loads whose value is only moved on: copies of whole objects, their padding included, and insertions into bit fields.

Such a load does not use what it reads, so memory that nothing has written is no fault there. What is copied keeps the
pattern of unwritten memory and is found where it is used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from simgpu.analysis.operands import read, written
from simgpu.ptx.syntax import Address, Function, Immediate, Instruction, Register, Symbol

_MOVES = frozenset({"mov"})
_MERGES = frozenset({"and", "or", "bfi"})
_ELSEWHERE = frozenset({"global", "shared", "shared::cta", "const"})
"""Storing there makes a value visible to others, which is a use."""

_BYTE_BITS = 8
"""Objects, as opposed to numbers, are passed as arrays of bytes."""

_Uses = Mapping[Register, Sequence[Instruction]]


def copying_loads(function: Function) -> frozenset[Instruction]:
    """Return the loads of local or generic memory whose value nothing looks at."""
    instructions = [item for item in function.body or () if isinstance(item, Instruction)]
    uses: defaultdict[Register, list[Instruction]] = defaultdict(list)
    for instruction in instructions:
        sources = read(instruction)
        for register in sources if instruction.predicate is None else (*sources, instruction.predicate):
            uses[register].append(instruction)
    pieces = {
        variable.name for variable in (*function.variables, *function.results) if variable.type.bits == _BYTE_BITS
    }
    return frozenset(
        instruction
        for instruction in instructions
        if instruction.base == "ld" and _is_private(instruction) and _only_copies(instruction, uses, pieces)
    )


def _is_private(instruction: Instruction) -> bool:
    return not _ELSEWHERE.intersection(instruction.modifiers) and "param" not in instruction.modifiers


def _only_copies(load: Instruction, uses: _Uses, pieces: set[str]) -> bool:
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
                if register in _addressing(use) or not _ends_copy(load, use, pieces, merged=merged):
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


def _ends_copy(load: Instruction, store: Instruction, pieces: set[str], *, merged: bool) -> bool:
    place = store.operands[0]
    if merged:
        return place == load.operands[1]
    if "param" in store.modifiers:
        return isinstance(place, Address) and isinstance(place.base, Symbol) and place.base.name in pieces
    return not _ELSEWHERE.intersection(store.modifiers)


def _addressing(store: Instruction) -> tuple[Register, ...]:
    place = store.operands[0]
    base = place.base if isinstance(place, Address) else None
    return (base,) if isinstance(base, Register) else ()
