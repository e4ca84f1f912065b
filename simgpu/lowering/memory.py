"""`ld` and `st` (PTX ISA, 'Data Movement and Conversion Instructions')."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from simgpu.codegen.context import Context, element_of
from simgpu.codegen.unwritten import NOWHERE, Lanes, lanes_of
from simgpu.codegen.values import WARP, Value, constant, pattern
from simgpu.lowering.access import (
    Access,
    Loaded,
    Window,
    contiguous,
    count_access,
    find_window,
    gather,
    guarded,
    open_access,
    permuted_load,
    scatter,
    uniform_pointer,
    watch_load,
    watch_store,
)
from simgpu.lowering.crowded import load_by_call, store_by_call
from simgpu.lowering.modifiers import Modifiers
from simgpu.lowering.shadow import Action, order_if_acquiring
from simgpu.lowering.tags import publish_before, see_after
from simgpu.lowering.unwritten_memory import Leaving, element_lanes, leaving, unwritten_words, watch_leaving
from simgpu.ptx.syntax import Address, Instruction, Operand, ScalarType, Space, Symbol, Vector

_SPACES = {
    "global": Space.GLOBAL,
    "shared": Space.SHARED,
    "shared::cta": Space.SHARED,
    "local": Space.LOCAL,
    "const": Space.CONST,
    "param": Space.PARAM,
    "param::entry": Space.PARAM,
    "param::func": Space.PARAM,
}
_ORDERINGS = ("weak", "relaxed", "acquire", "release", "acq_rel", "volatile")
_SCOPES = ("cta", "cluster", "gpu", "sys")
_CACHE_HINTS = ("ca", "cg", "cs", "cv", "lu", "wb", "wt", "nc")
_COUNTS = {"v2": 2, "v4": 4, "v8": 8}


def take_space(modifiers: Modifiers) -> Space:
    """Read the state space; none means generic."""
    name = modifiers.take(*_SPACES)
    return Space.GENERIC if name is None else _SPACES[name]


def take_memory_hints(modifiers: Modifiers) -> None:
    """Read orderings, scopes and cache hints: the simulated memory is coherent and has no caches."""
    modifiers.take(*_ORDERINGS)
    modifiers.take(*_SCOPES)
    modifiers.drop("L1::", "L2::", "unified")
    for name in _CACHE_HINTS:
        modifiers.take(name)


def _parse(i: Instruction) -> tuple[Space, int, ScalarType]:
    modifiers = Modifiers(i)
    space = take_space(modifiers)
    take_memory_hints(modifiers)
    count = _COUNTS[name] if (name := modifiers.take(*_COUNTS)) else 1
    kind = modifiers.kind()
    modifiers.done()
    return space, count, kind


def _fenced(c: Context, i: Instruction) -> None:
    """Keep the compiler from moving a synchronising access."""
    if {"volatile", "acquire", "release"} & set(i.modifiers):
        c.e.line("fence seq_cst")


def _load(c: Context, i: Instruction) -> None:
    space, count, kind = _parse(i)
    target, place = i.operands[0], i.operands[1]
    if not isinstance(place, Address):
        raise c.unsupported(i)
    items = target.items if isinstance(target, Vector) else (target,)
    element, parts = _elements(kind)
    values: Sequence[Value]
    if space is Space.PARAM:
        values = _load_parameter(c, i, place, element, count * parts)
        unwritten = _unwritten_parameter(c, place, element, count * parts)
    else:
        access = open_access(c, i, place, space, element=element, count=count * parts)
        count_access(c, access, 0)
        _fenced(c, i)
        loaded = load_values(c, access)
        values = loaded.values
        unwritten = element_lanes(access, loaded)
        _fenced(c, i)
        order_if_acquiring(c, i)
        if space is not Space.SHARED:
            see_after(c, i)
    for item, value in zip(items, _joined(c, values, parts), strict=True):
        c.extended_result(item, value, signed=kind.signed)
    for number, item in enumerate(items):
        each = len(unwritten) // len(items)
        c.unwritten.give(item, unwritten[number * each : (number + 1) * each])


def _elements(kind: ScalarType) -> tuple[str, int]:
    """Return the memory element and how many make one value: 128 bits are two words."""
    return ("i64", 2) if kind is ScalarType.B128 else (f"i{kind.bits}", 1)


def _joined(c: Context, values: Sequence[Value], parts: int) -> list[Value]:
    if parts == 1:
        return list(values)
    return [
        c.e.binary("or", c.e.resize(low, "i128"), c.e.number("shl", c.e.resize(high, "i128"), 64))
        for low, high in zip(values[::2], values[1::2], strict=True)
    ]


def load_values(c: Context, access: Access) -> Loaded:
    """Load an access' elements in the form that its address allows."""
    return load_by_call(c, access, _load_words) if c.program.crowded else _load_words(c, access)


def _load_words(c: Context, access: Access) -> Loaded:
    return unwritten_words(c, access, _load_values(c, access))


def _load_values(c: Context, access: Access) -> Loaded:
    if access.address.lanes == 1:
        pointer = uniform_pointer(c, access)
        unwritten = watch_load(c, access)
        places = [c.e.address(pointer, place * access.element_bytes) for place in range(access.count)]
        return Loaded(tuple(c.e.load(place, access.element) for place in places), (unwritten,))
    window = find_window(c, access)
    if window is None:
        return gather(c, access)
    # Of consecutive lanes, those that do not run load nothing that matters, within the same bounds.
    loader = permuted_load(c, access, window)
    if contiguous(access, window):
        loader = partial(_vectors_at, c, access)
    if loader is None:
        return gather(c, access)

    def load(pointer: Value) -> list[Value]:
        unwritten = watch_load(c, access, window)
        return [*loader(pointer), unwritten]

    return Loaded.of(guarded(c, access, window, load, lambda: gather(c, access).flat), access.count)


def _vectors_at(c: Context, access: Access, pointer: Value) -> list[Value]:
    words = c.e.load(pointer, access.element, WARP * access.count, access.element_bytes)
    if access.count == 1:
        return [words]
    return [c.e.shuffle(words, range(place, words.lanes, access.count)) for place in range(access.count)]


def _load_parameter(c: Context, i: Instruction, place: Address, element: str, count: int) -> list[Value]:
    unit = int(element[1:]) // 8
    local = c.locations.get(place.base.name) if isinstance(place.base, Symbol) else None
    if local is None:
        address = c.address(place)
        if address.lanes != 1:
            site = c.program.site(i, unit * count, Space.PARAM)
            access = Access(i, Space.GLOBAL, element, count, address, None, site, wide=True, action=Action.READ)
            return list(gather(c, access).values)
        pointer = c.e.cast("inttoptr", address, "ptr")
        return [c.e.load(c.e.address(pointer, step * unit), element) for step in range(count)]
    size = c.variables[_name(place)].size or 0
    if size == unit:
        return [c.e.load(local, element, WARP, unit)]
    hosts = _parameter_hosts(c, local, size, place.offset)
    return [
        c.e.call(f"sgpu_gather_{element}", constant(element, 0, WARP), c.e.number("add", hosts, step * unit), c.bits())
        for step in range(count)
    ]


def _unwritten_parameter(c: Context, place: Address, element: str, count: int) -> list[Lanes]:
    """Return what a call's parameter carries: the lanes in which each element, or each word of it, is unwritten."""
    local = c.locations.get(_name(place))
    if local is None or not c.unwritten.followed:
        return []
    masks = _mask_places(c, place, local, element, count)
    return [lanes_of(c.e.load(mask, "i32")) for mask in masks]


def _mask_places(c: Context, place: Address, local: Value, element: str, count: int) -> list[Value]:
    """Return where a call's parameter has the masks of some elements, or of each word of wider ones."""
    unit, behind = int(element[1:]) // 8, WARP * (c.variables[_name(place)].size or 0)
    starts = range(place.offset, place.offset + unit * count, min(unit, 4))
    return [c.e.address(local, behind + start // 4 * 4) for start in starts]


def _name(place: Address) -> str:
    return place.base.name if isinstance(place.base, Symbol) else ""


def _parameter_hosts(c: Context, local: Value, size: int, offset: int) -> Value:
    """Return each lane's host address within a call's parameter, which the lanes hold one after the other."""
    base = c.e.cast("ptrtoint", local, "i64")
    return c.e.binary("add", pattern("i64", [lane * size + offset for lane in range(WARP)]), base)


def _store(c: Context, i: Instruction) -> None:
    space, count, kind = _parse(i)
    place, given = i.operands[:2]
    if not isinstance(place, Address):
        raise c.unsupported(i)
    items = given.items if isinstance(given, Vector) else (given,)
    element, parts = _elements(kind)
    raw = ScalarType(f"b{kind.bits}")
    values = _split(c, [_raw_source(c, item, kind, raw) for item in items], parts)
    unwritten = [lanes for item in items for lanes in _stored_words(c, item, kind)]
    if space is Space.PARAM:
        _store_parameter(c, i, place, element, values)
        _mark_parameter(c, place, element, unwritten)
        return
    access = open_access(c, i, place, space, element=element, count=count * parts)
    count_access(c, access, 1)
    publish_before(c, i)
    _fenced(c, i)
    store_values(c, access, values, leaving(c, access, items, unwritten))
    _fenced(c, i)


def _stored_words(c: Context, item: Operand, kind: ScalarType) -> list[Lanes]:
    """Return in which lanes each word of what is stored is unwritten; registers may be wider."""
    count = max(kind.bits // 32, 1)
    words = c.unwritten.words(item)[:count]
    return [*words, *[NOWHERE] * (count - len(words))]


def _raw_source(c: Context, item: Operand, kind: ScalarType, raw: ScalarType) -> Value:
    """Return the bits of a stored value; a constant takes its form from the type."""
    return c.e.cast("bitcast", c.source(item, kind if element_of(kind)[0] != "i" else raw), f"i{kind.bits}")


def _split(c: Context, values: Sequence[Value], parts: int) -> list[Value]:
    if parts == 1:
        return list(values)
    pieces = []
    for value in values:
        pieces += [c.e.resize(value, "i64"), c.e.resize(c.e.number("lshr", value, 64), "i64")]
    return pieces


def store_values(c: Context, access: Access, values: Sequence[Value], unwritten: Leaving | None = None) -> None:
    """Store an access' elements in the form that its address allows; `unwritten` tells which nothing has written."""
    if c.program.crowded:
        store_by_call(c, access, values, unwritten, _store_words)
    else:
        _store_words(c, access, values, unwritten)


def _store_words(c: Context, access: Access, values: Sequence[Value], unwritten: Leaving | None) -> None:
    _store_values(c, access, values)
    if unwritten is not None:
        watch_leaving(c, access, unwritten)


def _store_values(c: Context, access: Access, values: Sequence[Value]) -> None:
    if access.address.lanes == 1:
        pointer = uniform_pointer(c, access)
        places = [c.e.address(pointer, place * access.element_bytes) for place in range(len(values))]
        stored = [_last_lane(c, value) for value in values]
        watch_store(c, access, stored, lambda: [c.e.load(place, access.element) for place in places])
        for value, place in zip(stored, places, strict=True):
            c.e.store(value, place)
        return
    window = find_window(c, access)
    if window is None or not contiguous(access, window):
        scatter(c, access, values)
        return
    vectors = [c.e.splat(value) for value in values]
    guarded(
        c,
        access,
        window,
        lambda pointer: _store_vector(c, access, window, pointer, vectors),
        lambda: scatter(c, access, vectors),
    )


def _last_lane(c: Context, value: Value) -> Value:
    """Return the value that stays when all lanes write to one place: the last one's."""
    if value.lanes == 1:
        return value
    if c.full:
        return c.e.extract(value, WARP - 1)
    leading = c.e.intrinsic("ctlz", c.bits(), extra="i1 true")
    return c.e.extract(value, c.e.binary("sub", constant("i32", WARP - 1), leading))


def _store_vector(c: Context, access: Access, window: Window, pointer: Value, vectors: Sequence[Value]) -> list[Value]:
    watch_store(c, access, vectors, lambda: _vectors_at(c, access, pointer), window)
    joined, mask = vectors[0], c.mask
    if access.count > 1:
        joined = _interleave(c, vectors)
        spread = [lane for lane in range(WARP) for _ in range(access.count)]
        mask = c.mask if c.full else c.e.shuffle(c.mask, spread)
    if c.full:
        c.e.store(joined, pointer, access.element_bytes)
        return []
    suffix = f"v{joined.lanes}{joined.element}"
    c.e.declarations.add(f"declare void @llvm.masked.store.{suffix}.p0({joined.type}, ptr, i32, {mask.type})")
    c.e.line(
        f"call void @llvm.masked.store.{suffix}.p0({joined.typed}, ptr {pointer.text}, "
        f"i32 {access.element_bytes}, {mask.typed})"
    )
    return []


def _interleave(c: Context, vectors: Sequence[Value]) -> Value:
    """Merge vectors so that a lane's elements are neighbours."""
    joined, width = list(vectors), WARP
    while len(joined) > 1:
        joined = [
            c.e.shuffle(first, range(2 * width), second)
            for first, second in zip(joined[::2], joined[1::2], strict=True)
        ]
        width *= 2
    count = len(vectors)
    return c.e.shuffle(joined[0], [place * WARP + lane for lane in range(WARP) for place in range(count)])


def _store_parameter(c: Context, i: Instruction, place: Address, element: str, values: Sequence[Value]) -> None:
    local = c.locations.get(_name(place))
    if local is None:
        raise c.unsupported(i, f"store to parameter {_name(place)}")
    unit, size = int(element[1:]) // 8, c.variables[_name(place)].size or 0
    if size == unit and c.full:
        c.e.store(c.e.splat(values[0]), local, unit)
        return
    hosts = _parameter_hosts(c, local, size, place.offset)
    for step, value in enumerate(values):
        c.e.call(f"sgpu_scatter_{element}", None, c.e.number("add", hosts, step * unit), c.bits(), c.e.splat(value))


def _mark_parameter(c: Context, place: Address, element: str, unwritten: Sequence[Lanes]) -> None:
    """Pass on which lanes of a call's parameter are unwritten."""
    local = c.locations.get(_name(place))
    if local is None or not c.unwritten.followed:
        return
    unit = int(element[1:]) // 8
    masks = _mask_places(c, place, local, element, len(unwritten) * min(unit, 4) // unit)
    for number, (lanes, mask) in enumerate(zip(unwritten, masks, strict=True)):
        value, old = c.unwritten.number(lanes), c.e.load(mask, "i32")
        first = (place.offset + number * min(unit, 4)) % 4 == 0
        kept = old if not first else c.e.binary("and", old, c.e.number("xor", c.bits(), -1))
        value = value if c.full else c.e.binary("and", value, c.bits())
        c.e.store(value if first and c.full else c.e.binary("or", value, kept), mask)


def _nothing(_c: Context, _i: Instruction) -> None:
    """Prefetches and cache policies change no value."""


def _policy(c: Context, i: Instruction) -> None:
    """`createpolicy`: the simulated memory has no caches, so every policy is the same."""
    c.result(i.operands[0], constant("i64", 0))


TABLE: dict[str, Callable[[Context, Instruction], None]] = {
    "ld": _load,
    "ldu": _load,
    "st": _store,
    "prefetch": _nothing,
    "prefetchu": _nothing,
    "createpolicy": _policy,
    "discard": _nothing,
    "applypriority": _nothing,
}
