"""`cp.async`: copies into shared memory that a warp has to wait for (PTX ISA, 'Asynchronous copy').

The bytes move at once; with checks, the cells stay pending until the wait (`runtime/copies.ll`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simgpu.codegen.context import Context
from simgpu.codegen.values import WARP, Value, constant
from simgpu.lowering.access import Access, count_access, gather, open_access
from simgpu.lowering.memory import load_values, store_values
from simgpu.lowering.modifiers import Modifiers
from simgpu.lowering.shadow import Action, watches_shared
from simgpu.ptx.syntax import Address, Immediate, Instruction, Operand, ScalarType, Space

_SIZES = (4, 8, 16)


def _copy(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    if not modifiers.has("async"):
        raise c.unsupported(i)
    group = modifiers.take("commit_group", "wait_group", "wait_all")
    if group is not None:
        modifiers.done()
        _group(c, i, group)
        return
    modifiers.take("ca", "cg")
    modifiers.take("shared", "shared::cta")
    modifiers.take("global")
    modifiers.drop("L2::")
    modifiers.done()
    target, given, size = i.operands[:3]
    if not isinstance(target, Address) or not isinstance(given, Address) or not isinstance(size, Immediate):
        raise c.unsupported(i)
    if size.value not in _SIZES:
        raise c.unsupported(i, f"{size.value} bytes")
    words = size.value // 4
    kept = list(i.operands[3:])
    if "L2::cache_hint" in i.modifiers:
        kept.pop()
    source = open_access(c, i, given, Space.GLOBAL, element="i32", count=words, action=Action.READ)
    values = _copied(c, source, kept[0] if kept else None)
    place = open_access(c, i, target, Space.SHARED, element="i32", count=words, action=Action.WRITE)
    count_access(c, place, 1)
    store_values(c, place, values)
    _begin(c, place)


def _copied(c: Context, source: Access, kept: Operand | None) -> list[Value]:
    """Load what is copied; bytes past the source size are zero and are not read at all."""
    if kept is None or (isinstance(kept, Immediate) and kept.value >= source.size):
        count_access(c, source, 0)
        return list(load_values(c, source).values)
    length = c.e.splat(c.source(kept, ScalarType.U32))
    whole = c.mask
    values: list[Value] = []
    base = c.e.splat(source.address)
    for place in range(source.count):
        c.mask = c.both(whole, c.e.compare("icmp ugt", length, constant("i32", 4 * place, WARP)))
        piece = replace(source, count=1, address=c.e.number("add", base, 4 * place), shape=None)
        if place == 0:
            count_access(c, replace(source, address=base), 0)
        values += gather(c, piece).values
    c.mask = whole
    return values


def _begin(c: Context, place: Access) -> None:
    """Note that a copy is under way."""
    if watches_shared(c, place):
        c.e.call(
            "sgpu_copy_begin", None, c.worker, c.e.splat(place.address), c.bits(), constant("i32", place.size),
            constant("i32", c.program.shared_shift),
        )  # fmt: skip


def _group(c: Context, i: Instruction, action: str) -> None:
    if not c.program.variant.checks:
        return
    if action != "wait_group":
        c.e.call("sgpu_copy_commit", None, c.worker)
    if action != "commit_group":
        allowed = (
            constant("i32", 0) if action == "wait_all" else c.e.extract(c.source(i.operands[0], ScalarType.U32), 0)
        )
        end_copies(c, allowed)


def end_copies(c: Context, allowed: Value) -> None:
    """End the warp's copies, those of its latest `allowed` groups excepted."""
    if c.program.variant.checks and c.program.copies:
        c.e.call("sgpu_copy_wait", None, c.worker, allowed, constant("i32", c.program.shared_shift))


TABLE: dict[str, Callable[[Context, Instruction], None]] = {"cp": _copy}
