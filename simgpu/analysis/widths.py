"""How narrow a kernel's accesses to shared memory are, which is how fine their shadow has to be."""

from __future__ import annotations

from collections.abc import Iterable

from simgpu.ptx.syntax import Function, Instruction

_ACCESSES = frozenset({"ld", "ldu", "st", "atom", "red", "wmma"})
_ELSEWHERE = frozenset({"global", "local", "const", "param", "param::entry", "param::func"})
_WIDEST = 2


def shared_shift(functions: Iterable[Function]) -> int:
    """Return the base-two logarithm of the narrowest access to shared memory in bytes, at most 2 (a word)."""
    narrowest = _WIDEST
    for function in functions:
        for item in function.body or ():
            if isinstance(item, Instruction) and item.base in _ACCESSES and not _ELSEWHERE.intersection(item.modifiers):
                narrowest = min(narrowest, _element_shift(item))
    return narrowest


def _element_shift(instruction: Instruction) -> int:
    """Return 0, 1 or 2 for an element of one, two, four or more bytes."""
    digits = "".join(letter for letter in instruction.modifiers[-1].partition("x")[0] if letter.isdigit())
    size = max(int(digits or 8) // 8, 1)
    return min(size.bit_length() - 1, _WIDEST)
