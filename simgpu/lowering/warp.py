"""Warp-wide instructions: shuffles, votes, matches, reductions (PTX ISA, 'Parallel Synchronization')."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simgpu.codegen.context import Context
from simgpu.codegen.unwritten import NOWHERE, Lanes, lanes_of
from simgpu.codegen.values import WARP, Value, constant, pattern
from simgpu.lowering.modifiers import Modifiers
from simgpu.ptx.syntax import Instruction, Operand, Pair, ScalarType
from simgpu.runtime import state

_LANE_BITS = 31
_MOST_MOVES = 4
"""Distances by which bits of a mask are shifted one by one."""
_REDUCTIONS = {"add": ("add", 0), "and": ("and", -1), "or": ("or", 0), "xor": ("xor", 0)}


def _named(c: Context, i: Instruction) -> None:
    """Test that every thread that gets here names itself in the member mask (PTX ISA, `shfl.sync` and others).

    Otherwise the behaviour is undefined. Masks that differ from lane to lane are not tested: lanes then name the tiles
    that they run in.
    """
    if not c.program.variant.checks or "sync" not in i.modifiers:
        return
    mask = c.source(i.operands[-1], ScalarType.U32)
    if mask.lanes > 1 or mask.text == "-1":
        return
    outside = c.e.binary("and", c.bits(), c.e.number("xor", mask, -1))
    good = c.e.compare("icmp eq", outside, constant("i32", 0))
    stop, go = c.e.label("unnamed"), c.e.label("named")
    c.e.line(f"br i1 {good.text}, label %{go}, label %{stop}, !prof !1")
    c.e.start(stop)
    lane = c.e.intrinsic("cttz", outside, extra="i1 true")
    c.e.call(
        "sgpu_fault", None, c.worker, constant("i32", state.FAULT_TRAP), constant("i32", c.program.site(i)), lane,
        constant("i64", 0),
    )  # fmt: skip
    c.e.line(f"br label %{go}")
    c.e.start(go)


def _shuffle(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    modifiers.take("sync")
    _named(c, i)
    mode, kind = modifiers.take("up", "down", "bfly", "idx"), modifiers.kind()
    modifiers.done()
    if mode is None:
        raise c.unsupported(i)
    target = i.operands[0]
    value = c.e.splat(c.source(i.operands[1], kind))
    steps, bounds = _constants(c, i.operands[2]), _constants(c, i.operands[3])
    held = c.unwritten.lanes(i.operands[1])
    if steps is not None and bounds is not None:
        chosen = [_source_lane(mode, lane, steps[lane], bounds[lane]) for lane in range(WARP)]
        lanes = [lane if source is None else source for lane, source in enumerate(chosen)]
        inside = pattern("i1", [source is not None for source in chosen])
        moved = c.e.shuffle(value, lanes)
        unwritten = _moved_bits(c, held, lanes)
    else:
        lanes_value, inside = _source_lanes(c, mode, i.operands[2], i.operands[3])
        moved = c.e.call("sgpu_permute", constant("i32", 0, WARP), value, lanes_value)
        unwritten = c.unwritten.moved(held, lanes_value)
    if isinstance(target, Pair):
        c.result(target.second, inside)
        c.unwritten.give(target.second, [NOWHERE])
        target = target.first
    c.result(target, moved)
    c.unwritten.give(target, [unwritten])


def _moved_bits(c: Context, held: Lanes, sources: Sequence[int]) -> Lanes:
    """Return the lanes that get what nothing has written: lanes that move alike are moved together."""
    distances = {source - lane for lane, source in enumerate(sources)}
    if not held or len(distances) > _MOST_MOVES:
        return c.unwritten.moved(held, pattern("i32", sources))
    running = c.unwritten.number(held)
    running = running if c.full else c.e.binary("and", running, c.bits())
    parts = []
    for distance in sorted(distances):
        going = sum(1 << lane for lane, source in enumerate(sources) if source - lane == distance)
        shifted = c.e.number("lshr" if distance > 0 else "shl", running, abs(distance))
        parts.append(c.e.number("and", shifted, going - (going >> _LANE_BITS << _LANE_BITS + 1)))
    return lanes_of(*parts)


def _constants(c: Context, operand: Operand) -> list[int] | None:
    """Return an operand's value in each lane, if it is known."""
    shape = c.shape(operand)
    if shape is None or shape.base is None or shape.wrapped:
        return None
    return [shape.base + step for step in shape.pattern]


def _source_lane(mode: str, lane: int, step: int, bound: int) -> int | None:
    """Return the lane that `lane` reads, or None when that is out of its segment (PTX ISA, `shfl`)."""
    step &= _LANE_BITS
    clamp, segment = bound & _LANE_BITS, bound >> 8 & _LANE_BITS
    most = lane & segment | clamp & ~segment & _LANE_BITS
    if mode == "up":
        source = lane - step
        return source if source >= most else None
    if mode == "down":
        source = lane + step
    elif mode == "bfly":
        source = lane ^ step
    else:
        source = lane & segment | step & ~segment & _LANE_BITS
    return source if source <= most else None


def _source_lanes(c: Context, mode: str, step_operand: Operand, bound_operand: Operand) -> tuple[Value, Value]:
    """Compute at run time what `_source_lane` computes; return the lanes and whether they are inside."""
    lane = c.lane_ids()
    step = c.e.splat(c.e.number("and", c.source(step_operand, ScalarType.U32), _LANE_BITS))
    bound = c.e.splat(c.source(bound_operand, ScalarType.U32))
    segment = c.e.number("and", c.e.number("lshr", bound, 8), _LANE_BITS)
    outside = c.e.number("xor", segment, _LANE_BITS)
    low = c.e.binary("and", lane, segment)
    most = c.e.binary("or", low, c.e.binary("and", bound, outside))
    if mode == "up":
        source = c.e.binary("sub", lane, step)
    elif mode == "down":
        source = c.e.binary("add", lane, step)
    elif mode == "bfly":
        source = c.e.binary("xor", lane, step)
    else:
        source = c.e.binary("or", low, c.e.binary("and", step, outside))
    inside = c.e.compare("icmp sge" if mode == "up" else "icmp sle", source, most)
    return c.e.select(inside, source, lane), inside


def _members(c: Context, i: Instruction) -> Value | None:
    """Return the member mask where lanes may differ in it: tiles of a warp that run together, each with its own."""
    mask = c.source(i.operands[-1], ScalarType.U32) if "sync" in i.modifiers else None
    return mask if mask is not None and mask.lanes > 1 else None


def _among(c: Context, bits: Value, members: Value | None) -> Value:
    return bits if members is None else c.e.binary("and", bits, members)


def _vote(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    modifiers.take("sync")
    _named(c, i)
    mode = modifiers.take("all", "any", "uni", "ballot")
    modifiers.kind()
    modifiers.done()
    members = _members(c, i)
    votes = _among(c, c.bits(c.both(c.mask, c.e.splat(c.source(i.operands[1], ScalarType.PRED)))), members)
    if mode == "ballot":
        c.result(i.operands[0], votes)
        return
    none = c.e.compare("icmp eq", votes, constant("i32", 0, votes.lanes))
    every = c.e.compare("icmp eq", votes, _among(c, c.bits(), members))
    if mode == "all":
        c.result(i.operands[0], every)
    elif mode == "any":
        c.result(i.operands[0], c.e.number("xor", none, 1))
    else:
        c.result(i.operands[0], c.e.binary("or", none, every))


def _active_mask(c: Context, i: Instruction) -> None:
    c.result(i.operands[0], c.bits())


def _match(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    modifiers.take("sync")
    _named(c, i)
    mode, kind = modifiers.take("any", "all"), modifiers.kind()
    modifiers.done()
    target = i.operands[0]
    value = c.e.splat(c.e.resize(c.source(i.operands[1], kind), "i64"))
    members = _members(c, i)
    same = _among(c, c.e.call("sgpu_match", constant("i32", 0, WARP), value, c.bits()), members)
    if mode == "any":
        c.result(target, same)
        return
    present = _among(c, c.bits(), members)
    every = c.e.compare("icmp eq", same, present)
    if isinstance(target, Pair):
        c.result(target.second, every)
        target = target.first
    c.result(target, c.e.select(every, present, constant("i32", 0)))


def _reduce(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    modifiers.take("sync")
    _named(c, i)
    operation, kind = modifiers.take("add", "and", "or", "xor", "min", "max"), modifiers.kind()
    modifiers.done()
    if operation is None or kind.floating:
        raise c.unsupported(i)
    value = c.e.splat(c.source(i.operands[1], kind))
    if operation in _REDUCTIONS:
        name, identity = _REDUCTIONS[operation]
    else:
        name, identity = ("s" if kind.signed else "u") + operation, _extreme(operation, signed=kind.signed)
    members = _members(c, i)
    if members is None:
        kept = c.e.select(c.mask, value, constant("i32", identity, WARP))
        c.result(i.operands[0], c.e.reduce(name, kept))
    else:
        c.result(i.operands[0], _reduce_groups(c, name, value, _among(c, c.bits(), members), identity))


def _reduce_groups(c: Context, name: str, value: Value, present: Value, identity: int) -> Value:
    """Reduce over the lanes that each lane's bits in `present` name."""
    neutral = constant("i32", identity, WARP)
    total = neutral
    for lane in range(WARP):
        there = c.e.compare("icmp ne", c.e.number("and", present, 1 << lane), constant("i32", 0, WARP))
        one = c.e.select(there, c.e.splat(c.e.extract(value, lane)), neutral)
        total = c.e.binary(name, total, one) if name in _REDUCTIONS else c.e.intrinsic(name, total, one)
    return total


def _extreme(operation: str, *, signed: bool) -> int:
    """Return the number that changes no minimum or maximum."""
    if signed:
        return 2**31 - 1 if operation == "min" else -(2**31)
    return -1 if operation == "min" else 0


def _elect(c: Context, i: Instruction) -> None:
    modifiers = Modifiers(i)
    modifiers.take("sync")
    _named(c, i)
    modifiers.done()
    target = i.operands[0]
    members = _members(c, i)
    first = c.first_lane() if members is None else c.e.intrinsic("cttz", _among(c, c.bits(), members), extra="i1 true")
    if not isinstance(target, Pair):
        raise c.unsupported(i)
    c.result(target.first, first)
    c.result(target.second, c.e.compare("icmp eq", c.lane_ids(), first))


TABLE: dict[str, Callable[[Context, Instruction], None]] = {
    "shfl": _shuffle,
    "vote": _vote,
    "activemask": _active_mask,
    "match": _match,
    "redux": _reduce,
    "elect": _elect,
}
