"""How narrow a kernel's accesses to memory are, which is how fine the shadow of it has to be; and how many."""

from __future__ import annotations

from collections.abc import Iterable

from simgpu.ptx.syntax import Function, Instruction

_ACCESSES = frozenset({"ld", "ldu", "st", "atom", "red", "wmma"})
_ELSEWHERE = frozenset({"global", "local", "const", "param", "param::entry", "param::func"})
_NOT_GLOBAL = (_ELSEWHERE - {"global"}) | {"shared", "shared::cta"}
_SYNCHRONISING = frozenset({"volatile", "relaxed", "release"})
_COUNTS = {"v2": 2, "v4": 4, "v8": 8}
_WIDEST = 2


def shared_shift(functions: Iterable[Function]) -> int:
    """Return the base-two logarithm of the narrowest access to shared memory in bytes, at most 2 (a word)."""
    narrowest = _WIDEST
    for function in functions:
        for item in function.body or ():
            if isinstance(item, Instruction) and item.base in _ACCESSES and not _ELSEWHERE.intersection(item.modifiers):
                narrowest = min(narrowest, _element_shift(item))
    return narrowest


def global_shift(functions: Iterable[Function]) -> int | None:
    """Return the same for plain stores to global memory, which are all that its tags tell; None without any."""
    narrowest = None
    for function in functions:
        for item in function.body or ():
            if isinstance(item, Instruction) and _stores_plainly(item):
                count = next((_COUNTS[name] for name in item.modifiers if name in _COUNTS), 1)
                shift = min(_element_shift(item) + count.bit_length() - 1, _WIDEST)
                narrowest = shift if narrowest is None else min(narrowest, shift)
    return narrowest


def memory_accesses(functions: Iterable[Function]) -> int:
    """Count the loads and stores whose addresses have to be checked."""
    return sum(
        isinstance(item, Instruction)
        and item.base in _ACCESSES
        and not any(name.startswith("param") for name in item.modifiers)
        for function in functions
        for item in function.body or ()
    )


def _stores_plainly(item: Instruction) -> bool:
    """Whether a store may go to global memory and does not synchronise."""
    store = item.base in {"st", "stmatrix"} or (item.base == "wmma" and "store" in item.modifiers)
    return store and not (_NOT_GLOBAL | _SYNCHRONISING).intersection(item.modifiers)


def _element_shift(instruction: Instruction) -> int:
    """Return 0, 1 or 2 for an element of one, two, four or more bytes."""
    digits = "".join(letter for letter in instruction.modifiers[-1].partition("x")[0] if letter.isdigit())
    size = max(int(digits or 8) // 8, 1)
    return min(size.bit_length() - 1, _WIDEST)
