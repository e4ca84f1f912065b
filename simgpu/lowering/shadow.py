"""Calls of the runtime's shadow checks: data races and reads of memory that nothing has written."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntFlag
from typing import TYPE_CHECKING

from simgpu.codegen.values import WARP, Value, constant
from simgpu.lowering.cells import cell_runs, stamp
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
    if base == "mbarrier" or "mbarrier" in modifiers:
        begins = {"init", "inval"}.intersection(modifiers)
        return Action.SYNC | Action.WRITE if begins else Action.SYNC | Action.WRITE | Action.READ
    stores = base in {"st", "stmatrix"} or "store" in modifiers
    action = Action.WRITE if stores else Action.READ
    return action | Action.SYNC if _SYNCHRONISING.intersection(modifiers) else action


def order(c: Context) -> None:
    """Order all that the block did before what it does from here on: a fence, or an access that acquires.

    That is more than the instruction orders, so that no honest hand-over between warps is taken for a race.
    """
    if c.program.variant.checks:
        c.e.call("sgpu_order", None, c.worker)


def order_if_acquiring(c: Context, i: Instruction) -> None:
    """Do so after an access that acquires."""
    if {"acquire", "acq_rel"}.intersection(i.modifiers):
        order(c)


def watches_shared(c: Context, access: Access) -> bool:
    """Whether an access may touch shared memory and is to be watched."""
    if not c.program.variant.checks:
        return False
    return access.space is Space.SHARED or (access.space is Space.GENERIC and bool(c.program.shared))


def watch(c: Context, access: Access, action: Action, first: Value | None = None, offsets: Sequence[int] = ()) -> Value:
    """Check a whole access; return the lanes whose plain write may race, or whose read finds what nothing has written.

    Parameters
    ----------
    first, offsets
        Where the lanes' places follow a pattern: the lowest place, and the lanes' distances from it in bytes.
    """
    plain = action in {Action.READ, Action.WRITE} and access.space is Space.SHARED
    runs = cell_runs(c, offsets, access.size) if plain and first is not None else None
    if runs is None or first is None:
        return _watch_lanes(c, access, action)
    trouble, stamps = stamp(c, first, runs, writes=action is Action.WRITE)
    look, good, go = c.e.label("look"), c.e.label("good"), c.e.label("go")
    c.e.line(f"br i1 {trouble.text}, label %{look}, label %{good}, !prof !0")
    c.e.start(look)
    suspects = _watch_lanes(c, access, action)
    c.e.line(f"br label %{go}")
    c.e.start(good)
    for new, place in stamps:
        c.e.store(new, place)
    c.e.line(f"br label %{go}")
    c.e.start(go)
    return c.e.value(f"phi i32 [ {suspects.text}, %{look} ], [ 0, %{good} ]", "i32", 1)


def _watch_lanes(c: Context, access: Access, action: Action) -> Value:
    name = "sgpu_shadow_shared" if access.space is Space.SHARED else "sgpu_shadow_generic"
    address, mask = access.address, c.bits()
    if address.lanes == 1:
        # One lane stands for all of its warp.
        address, mask = c.e.splat(address), c.e.binary("shl", constant("i32", 1), c.first_lane())
    return c.e.call(
        name, constant("i32", 0), c.worker, access.site_number, address, mask,
        constant("i32", access.size), constant("i32", c.program.shared_shift), constant("i32", int(action)),
    )  # fmt: skip


def changes(c: Context, suspects: Value, old: Sequence[Value], new: Sequence[Value]) -> Value:
    """Return the suspects whose write changes what is there."""
    differs = constant("i32", 0)
    for before, after in zip(old, new, strict=True):
        unlike = c.bits(c.e.splat(c.e.compare("icmp ne", before, after)))
        differs = c.e.binary("or", differs, unlike)
    return c.e.binary("and", suspects, differs)


def blame_changes(c: Context, access: Access, guilty: Value, *, kind: int) -> None:
    """Report the first of the lanes whose write changes what another wrote."""
    c.e.call(
        "sgpu_blame_write", None, c.worker, constant("i32", kind), access.site_number, guilty,
        c.e.splat(access.address, WARP),
    )  # fmt: skip


RACE_SHARED = state.FAULT_RACE_SHARED
