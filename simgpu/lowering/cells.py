"""The fast form of shared memory's shadow check: cells of a known pattern, tested and stamped as vectors.

The runtime's `shadow_lane` (shared_shadow.ll) says what a tag means. Here only the common outcome is decided: nobody
else has used the cells in this epoch. Whatever differs goes to the runtime, cell by cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simgpu.codegen.values import WARP, Value, constant, pattern
from simgpu.runtime import state

if TYPE_CHECKING:
    from simgpu.codegen.context import Context

_MOST_RUNS = 4
_MOST_CELLS = 128


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring cells from `start` on; `touched` tells which of them count, None: all."""

    start: int
    length: int
    touched: Value | None


def cell_runs(c: Context, offsets: Sequence[int], size: int) -> list[Run] | None:
    """Return the cells of a pattern of byte offsets, or None when they are better checked one by one."""
    shift = c.program.shared_shift
    per_lane = size >> shift
    touched = sorted({(offset >> shift) + step for offset in offsets for step in range(per_lane)})
    span = touched[-1] + 1
    if span > _MOST_CELLS:
        return None
    if not c.full:
        # Lanes that do not run touch nothing; only where each cell has one lane is it clear which.
        if len(offsets) == 1:
            return [Run(0, span, None)]
        if any(offset != lane * size for lane, offset in enumerate(offsets)):
            return None
        spread = [lane for lane in range(WARP) for _ in range(per_lane)]
        return [Run(0, span, c.mask if per_lane == 1 else c.e.shuffle(c.mask, spread))]
    runs = _neighbours(touched)
    if len(runs) <= _MOST_RUNS:
        return runs
    inside = set(touched)
    width = 1 << (span - 1).bit_length()  # vectors of odd lengths make slow code slowly
    return [Run(0, width, pattern("i1", [cell in inside for cell in range(width)]))]


def _neighbours(touched: Sequence[int]) -> list[Run]:
    runs: list[Run] = []
    for cell in touched:
        if runs and runs[-1].start + runs[-1].length == cell:
            runs[-1] = Run(runs[-1].start, runs[-1].length + 1, None)
        else:
            runs.append(Run(cell, 1, None))
    return runs


def stamp(c: Context, first: Value, runs: Sequence[Run], *, writes: bool) -> tuple[Value, list[tuple[Value, Value]]]:
    """Test cells from the byte offset `first` on.

    Returns
    -------
    tuple
        Whether the runtime has to look, and else the new tags with the pointers to where they belong.
    """
    index = c.e.number("shl", c.e.number("lshr", first, c.program.shared_shift), 1)
    writers, readers = (c.e.address(c.field(f"shadow_{who}", "ptr"), index) for who in ("writers", "readers"))
    epoch, tag = _now(c, "epoch"), _now(c, "tag")
    begun = _now(c, "first_epoch")
    trouble, stamps = constant("i1", 0), []
    for run in runs:
        w_place, r_place = c.e.address(writers, 2 * run.start), c.e.address(readers, 2 * run.start)
        w, r = c.e.load(w_place, "i16", run.length), c.e.load(r_place, "i16", run.length)
        bad = _foreign(c, w, epoch, tag)
        others = _foreign(c, r, epoch, tag)
        if writes:
            bad = c.e.binary("or", bad, others)
            place, before, new = w_place, w, c.e.splat(tag, run.length)
        else:
            bad = c.e.binary("or", bad, c.e.compare("icmp ult", w, c.e.splat(begun, run.length)))
            many = c.e.splat(c.e.number("add", epoch, state.MANY_READERS), run.length)
            place, before, new = r_place, r, c.e.select(others, many, c.e.splat(tag, run.length))
        if run.touched is not None:
            bad = c.e.binary("and", bad, run.touched)
            new = c.e.select(run.touched, new, before)
        trouble = c.e.binary("or", trouble, any_of(c, bad))
        stamps.append((new, place))
    return trouble, stamps


def _now(c: Context, name: str) -> Value:
    """Load the low half of a worker's field that barriers change."""
    return c.e.load(c.e.address(c.worker, state.offset(name)), "i16")


def _foreign(c: Context, tags: Value, epoch: Value, tag: Value) -> Value:
    """Whether someone else has stamped the cells in this epoch."""
    recent = c.e.compare("icmp uge", tags, c.e.splat(epoch, tags.lanes))
    return c.e.binary("and", recent, c.e.compare("icmp ne", tags, c.e.splat(tag, tags.lanes)))


def any_of(c: Context, flags: Value) -> Value:
    """Tell whether any of some flags is set."""
    if flags.lanes == 1:
        return flags
    bits = c.e.value(f"bitcast {flags.typed} to i{flags.lanes}", "i1", 1)
    return c.e.value(f"icmp ne i{flags.lanes} {bits.text}, 0", "i1", 1)
