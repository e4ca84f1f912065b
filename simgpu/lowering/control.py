"""Barriers, fences, traps (PTX ISA, 'Parallel Synchronization' and 'Miscellaneous Instructions')."""

from __future__ import annotations

from collections.abc import Callable

from simgpu.codegen.context import Context
from simgpu.codegen.values import Value, constant
from simgpu.lowering.modifiers import Modifiers
from simgpu.lowering.shadow import order
from simgpu.lowering.tags import publish_before
from simgpu.ptx.syntax import Instruction, Operand, ScalarType
from simgpu.runtime import state

_VOTES = {"popc": 1, "and": 2, "or": 3}


def _barrier(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    if modifiers.has("warp"):
        modifiers.take("sync")
        modifiers.done()
        return
    modifiers.take("cta")
    action = modifiers.take("sync", "arrive", "red")
    modifiers.take("aligned")
    vote = modifiers.take(*_VOTES)
    if vote is not None:
        modifiers.kind()
    modifiers.done()
    if action is None or (vote is None) is (action == "red"):
        raise c.unsupported(i)
    operands = list(i.operands)
    target = operands.pop(0) if action == "red" else None
    held = c.bits(c.both(c.mask, c.e.splat(c.source(operands.pop(), ScalarType.PRED)))) if action == "red" else None
    result = _wait(c, i, operands, action=action, vote=vote, held=held)
    if target is not None:
        c.result(target, result if vote == "popc" else c.e.compare("icmp ne", result, constant("i32", 0)))


def _wait(
    c: Context, i: Instruction, operands: list[Operand], *, action: str, vote: str | None, held: Value | None
) -> Value:
    number = c.e.extract(c.source(operands[0], ScalarType.U32), c.first_lane())
    threads = constant("i32", 0)
    if len(operands) > 1:
        threads = c.e.extract(c.source(operands[1], ScalarType.U32), c.first_lane())
    site = constant("i32", c.program.site(i))
    wait = constant("i32", int(action != "arrive"))
    kind = constant("i32", _VOTES[vote] if vote else 0)
    return c.e.call(
        "sgpu_barrier", constant("i32", 0), c.worker, number, threads, c.bits(), c.bits(c.live), site, wait, kind,
        held or constant("i32", 0),
    )  # fmt: skip


def _fence(c: Context, i: Instruction) -> None:
    c.e.line("fence seq_cst")
    order(c)
    publish_before(c, i)


def trap(c: Context, i: Instruction) -> None:
    """Stop the launch with the fault `trap`."""
    c.e.call(
        "sgpu_fault", None, c.worker, constant("i32", state.FAULT_TRAP), constant("i32", c.program.site(i)),
        c.first_lane(), constant("i64", 0),
    )  # fmt: skip


def _nothing(_c: Context, _i: Instruction) -> None:
    """Hints for a debugger, a profiler or the scheduler."""


TABLE: dict[str, Callable[[Context, Instruction], None]] = {
    "bar": _barrier,
    "barrier": _barrier,
    "membar": _fence,
    "fence": _fence,
    "trap": trap,
    "brkpt": _nothing,
    "nanosleep": _nothing,
    "pmevent": _nothing,
    "setmaxnreg": _nothing,
    "griddepcontrol": _nothing,
}
