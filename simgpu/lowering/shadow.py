"""Calls of the runtime's shadow checks: data races and reads of memory that nothing has written."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntFlag
from typing import TYPE_CHECKING

from simgpu.codegen.values import WARP, Value, constant
from simgpu.ptx.syntax import Instruction, Space
from simgpu.runtime import state

if TYPE_CHECKING:
    from simgpu.codegen.context import Context
    from simgpu.lowering.access import Access

_SYNCHRONISING = frozenset({"volatile", "relaxed", "acquire", "release"})


class Action(IntFlag):
    """What an access does, as the runtime's shadow functions take it."""

    READ = 1
    WRITE = 2
    SYNC = 4
    """It synchronises: an atomic, a volatile access. Such accesses do not race with each other."""
    HARD = 8
    """A write that is a race even if it changes nothing, because nobody compares."""


def action_of(instruction: Instruction) -> Action:
    """Return what an instruction does to the memory it names."""
    base, modifiers = instruction.base, instruction.modifiers
    if base in {"atom", "red"}:
        return Action.SYNC | Action.WRITE if "exch" in modifiers else Action.SYNC | Action.WRITE | Action.READ
    if base == "mbarrier":
        return Action.SYNC | Action.WRITE if "init" in modifiers else Action.SYNC | Action.WRITE | Action.READ
    stores = base in {"st", "stmatrix"} or "store" in modifiers
    action = Action.WRITE if stores else Action.READ
    return action | Action.SYNC if _SYNCHRONISING.intersection(modifiers) else action


def watches_shared(c: Context, access: Access) -> bool:
    """Whether an access may touch shared memory and is to be watched."""
    if not c.program.variant.checks:
        return False
    return access.space is Space.SHARED or (access.space is Space.GENERIC and bool(c.program.shared))


def watch(c: Context, access: Access, action: Action) -> Value:
    """Check a whole access by the runtime; return the lanes whose plain write may race."""
    if c.program.waits_by_mbarrier:
        # An mbarrier orders accesses in ways that the shadow does not follow: no race is claimed.
        action = action & ~Action.HARD | Action.SYNC
    name = "sgpu_shadow_shared" if access.space is Space.SHARED else "sgpu_shadow_generic"
    address, mask = access.address, c.bits()
    if address.lanes == 1:
        # One lane stands for all of its warp.
        address, mask = c.e.splat(address), c.e.binary("shl", constant("i32", 1), c.first_lane())
    return c.e.call(
        name, constant("i32", 0), c.worker, constant("i32", access.site), address, mask,
        constant("i32", access.size), constant("i32", c.program.shared_shift), constant("i32", int(action)),
    )  # fmt: skip


def blame_changes(
    c: Context, access: Access, suspects: Value, old: Sequence[Value], new: Sequence[Value], *, kind: int
) -> None:
    """Report suspects whose write changes what is there."""
    differs = constant("i32", 0)
    for before, after in zip(old, new, strict=True):
        unlike = c.bits(c.e.splat(c.e.compare("icmp ne", before, after)))
        differs = c.e.binary("or", differs, unlike)
    guilty = c.e.binary("and", suspects, differs)
    c.e.call(
        "sgpu_blame_write", None, c.worker, constant("i32", kind), constant("i32", access.site), guilty,
        c.e.splat(access.address, WARP),
    )  # fmt: skip


RACE_SHARED = state.FAULT_RACE_SHARED
