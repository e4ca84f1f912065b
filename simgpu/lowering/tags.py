"""Calls of the runtime's checks of global memory's tags: data races between blocks (`runtime/global_shadow.ll`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simgpu.codegen.values import WARP, Value, constant
from simgpu.lowering.shadow import Action
from simgpu.ptx.syntax import Instruction, Space
from simgpu.runtime import state

if TYPE_CHECKING:
    from simgpu.codegen.context import Context
    from simgpu.lowering.access import Access

RACE_GLOBAL = state.FAULT_RACE_GLOBAL
_LOOKING = frozenset({"volatile", "relaxed", "acquire", "acq_rel", "cv", "cg"})
"""What makes a load look at what others write: an ordering, or a cache that all blocks share."""
_RELEASING = frozenset({"release", "acq_rel"})
_FENCES = frozenset({"gl", "gpu", "sys"})
_NARROW = frozenset({"cta", "cluster"})


def watches_global(c: Context, access: Access) -> bool:
    """Whether an access may touch global memory and is to be watched."""
    if not c.program.variant.checks or c.program.global_shift is None:
        return False
    return access.space in {Space.GLOBAL, Space.GENERIC}


def watch_tags(
    c: Context, access: Access, action: Action, first: Value | None = None, span: int = 0, *, consecutive: bool = False
) -> Value:
    """Check an access; return the lanes whose plain write may race.

    Parameters
    ----------
    first, span
        The lowest address and the bytes to the highest one, where lanes follow a pattern.
    consecutive
        Whether the lanes' places follow each other without gaps.
    """
    none = constant("i32", 0)
    if action & Action.SYNC and not action & Action.WRITE:
        return none  # it looks, which orders what comes behind it
    if Action.WRITE in action or first is None or span >> state.PAGE_BITS:
        return _watch(c, access, action, first if consecutive else None)
    look, go = c.e.label("look"), c.e.label("go")
    c.e.line(f"br i1 {_page_written(c, first).text}, label %{look}, label %{go}, !prof !0")
    c.e.start(look)
    _watch(c, access, action, first if consecutive else None)
    c.e.line(f"br label %{go}")
    c.e.start(go)
    return none


def _page_written(c: Context, first: Value) -> Value:
    """Whether the launch has written to an address' page or the one behind it; other memory is never written to."""
    offset = c.e.binary("sub", first, c.field("arena", "i64"))
    span = c.field("arena_span", "i64")
    page = c.e.number("lshr", c.e.intrinsic("umin", offset, span), state.PAGE_BITS)
    pair = c.e.load(c.e.address(c.field("pages", "ptr"), page), "i16", align=1)
    return c.e.compare("icmp ne", pair, constant("i16", 0))


def give_tags(c: Context, access: Access, shared: Value, first: Value | None = None) -> None:
    """Make the places of a plain store the block's, those of the `shared` lanes nobody's.

    Parameters
    ----------
    first
        The lowest address, where the lanes' places follow each other without gaps.
    """
    _call(c, access, "tag", first, shared, gives=None)


def _watch(c: Context, access: Access, action: Action, first: Value | None) -> Value:
    if "cas" in access.instruction.modifiers:
        action &= ~Action.READ  # a lock may be given back by a plain store
    return _call(c, access, "watch", first, constant("i32", int(action)), gives=constant("i32", 0))


def _call(c: Context, access: Access, verb: str, first: Value | None, last: Value, *, gives: Value | None) -> Value:
    """Call a function for lanes whose places follow each other from `first` on, or for any lanes."""
    address, mask = access.address, c.bits()
    name, place = f"sgpu_{verb}_global", address
    if address.lanes == 1:
        # One lane stands for all of its warp.
        place, mask = c.e.splat(address, WARP), c.e.binary("shl", constant("i32", 1), c.first_lane())
    elif first is not None:
        name, place = f"sgpu_{verb}_run", first
    size, shift = constant("i32", access.size), constant("i32", c.program.global_shift or 0)
    return c.e.call(name, gives, c.worker, access.site_number, place, mask, size, shift, last)


def _wide(i: Instruction) -> bool:
    return not _NARROW.intersection(i.modifiers)


def see_after(c: Context, i: Instruction) -> None:
    """Let the block see what others have published, after an access by which it may have learnt of it."""
    if c.program.variant.checks and c.program.global_shift is not None and _looks(i):
        c.e.call("sgpu_see", None, c.worker)


def _looks(i: Instruction) -> bool:
    return i.base == "atom" or bool(_LOOKING.intersection(i.modifiers))


def publish_before(c: Context, i: Instruction) -> None:
    """Publish what the block has written, before an access that releases it to the card, or by a fence."""
    if not c.program.variant.checks or c.program.global_shift is None:
        return
    fence = i.base in {"fence", "membar"}
    releases = _FENCES.intersection(i.modifiers) if fence else _RELEASING.intersection(i.modifiers) and _wide(i)
    if releases:
        c.e.call("sgpu_publish", None, c.worker)
    elif fence:
        c.e.call("sgpu_see", None, c.worker)
