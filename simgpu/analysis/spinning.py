"""Loops that wait for another thread: they read memory until it holds what they hope for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from simgpu.analysis.operands import read, written
from simgpu.ptx.syntax import Immediate, Instruction

if TYPE_CHECKING:
    from simgpu.analysis.graph import Block

_POLLING_LOADS = frozenset({"volatile", "relaxed", "acquire"})
_ACTING = frozenset({"st", "red", "call", "bar", "barrier", "stmatrix", "cp"})


def polls(instruction: Instruction) -> bool:
    """Whether an instruction looks at what another thread may have written."""
    if instruction.base == "ld":
        return bool(_POLLING_LOADS & set(instruction.modifiers))
    return instruction.base == "atom" or (instruction.base == "mbarrier" and "parity" in instruction.modifiers)


def acts(instruction: Instruction) -> bool:
    """Whether an instruction, repeated in a loop that polls, does something for others: the loop does not only wait.

    Attempts to take a lock, and atomics that add nothing, only look.
    """
    if instruction.base == "atom":
        looks = {"cas", "exch"}.intersection(instruction.modifiers)
        return not looks and instruction.operands[2] != Immediate(0)
    return instruction.base in _ACTING


def spinning_loops(
    blocks: Sequence[Block], order: Collection[int], tested: Iterable[tuple[int, int]]
) -> frozenset[int]:
    """Find the headers of loops in which a branch depends on what was polled.

    `tested` pairs each block that branches with the register that it tests.
    """
    tests = dict(tested)
    headers = {loop for index in order for loop in blocks[index].loops}
    return frozenset(
        header
        for header in headers
        if _spins([blocks[index] for index in order if header in blocks[index].loops], tests)
    )


def _spins(inside: Sequence[Block], tests: dict[int, int]) -> bool:
    instructions = [item for block in inside for item in block.instructions]
    hopes = {register.index for item in instructions if polls(item) for register in written(item)}
    told = False  # whether what was polled is stored, for other threads that may load it
    before = (-1, told)
    while (len(hopes), told) != before:
        before = (len(hopes), told)
        for item in instructions:
            if (told and item.base == "ld") or any(register.index in hopes for register in read(item)):
                hopes |= {register.index for register in written(item)}
                told |= item.base == "st"
    return any(tests.get(block.index) in hopes for block in inside)
