"""Lowering of PTX instructions to LLVM, by family.

Each family module holds a table from base opcode to a function of the context and the instruction. A new
instruction is a function and a line in its family's table.
"""

from __future__ import annotations

from collections.abc import Callable

from simgpu.codegen.context import Context
from simgpu.errors import UnplacedError
from simgpu.lowering import (
    atomic,
    bits,
    calls,
    carry,
    control,
    conversion,
    copies,
    floating,
    half,
    integer,
    matrix,
    matrix_moves,
    mbarrier,
    memory,
    moves,
    quads,
    sparse,
    transcendental,
    video,
    warp,
    wmma,
)
from simgpu.lowering.unwritten import follow
from simgpu.ptx.syntax import Instruction
from simgpu.refusal import refused

Lowering = Callable[[Context, Instruction], None]

_HALF_TYPES = frozenset({"f16", "f16x2", "bf16", "bf16x2"})
_FLOAT_TYPES = frozenset({"f32", "f64"})
_ANY: dict[str, Lowering] = {
    **moves.TABLE,
    **bits.TABLE,
    **conversion.TABLE,
    **memory.TABLE,
    **copies.TABLE,
    **atomic.TABLE,
    **matrix.TABLE,
    **matrix_moves.TABLE,
    **mbarrier.TABLE,
    **wmma.TABLE,
    **warp.TABLE,
    **control.TABLE,
    **calls.TABLE,
    **video.TABLE,
}
EFFECTS = frozenset({
    "ld", "st", "atom", "red", "bar", "barrier", "vote", "activemask", "match", "redux", "elect", "call", "trap",
    "brkpt", "cp", "shfl", "ldmatrix", "stmatrix", "movmatrix", "wmma", "mbarrier",
})  # fmt: skip
"""Instructions whose guard must keep them from running at all, not only from writing a register."""


def lower(context: Context, instruction: Instruction) -> None:
    """Generate the code of one instruction.

    Raises
    ------
    UnsupportedError
        When simgpu lacks the instruction or one of its modifiers.
    """
    lowering = find(instruction)
    try:
        if not context.unwritten.followed:
            lowering(context, instruction)
            return
        context.unwritten.begin(instruction)
        follow(context, instruction)
        lowering(context, instruction)
        context.unwritten.end(instruction)
    except UnplacedError as error:
        raise refused(instruction, str(error)) from error


def find(instruction: Instruction) -> Lowering:
    """Return the lowering of an instruction by its base opcode and type."""
    base, types = instruction.base, instruction.modifiers
    chosen = _ANY.get(base)
    if carry.uses_carry(instruction):
        chosen = carry.TABLE.get(base)
    elif base == "cp" and "mbarrier" in types:
        chosen = mbarrier.arrive_after_copies
    elif base == "mma":
        chosen = _product(types)
    elif chosen is None and types:
        last = types[-1]
        if last in _HALF_TYPES or (last == "f32" and _HALF_TYPES & set(types)):
            chosen = half.TABLE.get(base)
        elif last in _FLOAT_TYPES:
            chosen = floating.TABLE.get(base) or transcendental.TABLE.get(base)
        else:
            chosen = integer.TABLE.get(base)
    if chosen is None:
        raise refused(instruction)
    return chosen


def _product(types: tuple[str, ...]) -> Lowering:
    """Return the lowering of an `mma`: with a sparse A, in four parts as on Volta, or of the whole warp."""
    if types[0].startswith("sp"):
        return sparse.multiply_sparse
    if "m8n8k4" in types and "f64" not in types:
        return quads.multiply_quads
    return matrix.TABLE["mma"]
