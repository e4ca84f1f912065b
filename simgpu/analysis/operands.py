"""Which registers an instruction writes and reads."""

from __future__ import annotations

from simgpu.ptx.syntax import Address, Group, Instruction, Negated, Operand, Pair, Register, Vector

_NO_RESULT = frozenset({
    "st", "red", "bar", "barrier", "membar", "fence", "bra", "brx", "ret", "exit", "trap", "brkpt", "prefetch",
    "prefetchu", "nanosleep", "pmevent", "cp", "discard", "applypriority", "setmaxnreg", "stmatrix", "griddepcontrol",
})  # fmt: skip


def registers_in(operand: Operand) -> tuple[Register, ...]:
    """List the registers that an operand names."""
    if isinstance(operand, Register):
        return (operand,)
    if isinstance(operand, Negated):
        return (operand.register,)
    if isinstance(operand, Address):
        return (operand.base,) if isinstance(operand.base, Register) else ()
    if isinstance(operand, Pair):
        return (*registers_in(operand.first), *registers_in(operand.second))
    if isinstance(operand, Vector | Group):
        return tuple(register for item in operand.items for register in registers_in(item))
    return ()


def has_result(instruction: Instruction) -> bool:
    """Whether the first operand is written."""
    if instruction.base in {"bar", "barrier"}:
        return "red" in instruction.modifiers
    if instruction.base == "mbarrier":
        return not isinstance(instruction.operands[0], Address)
    if instruction.base == "call" or (instruction.base == "wmma" and "store" in instruction.modifiers):
        return False
    return instruction.base not in _NO_RESULT and bool(instruction.operands)


def written(instruction: Instruction) -> tuple[Register, ...]:
    """List the registers that an instruction writes."""
    return registers_in(instruction.operands[0]) if has_result(instruction) else ()


def read(instruction: Instruction) -> tuple[Register, ...]:
    """List the registers that an instruction reads, its guard left out."""
    sources = instruction.operands[1:] if has_result(instruction) else instruction.operands
    return tuple(register for operand in sources for register in registers_in(operand))
