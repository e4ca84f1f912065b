"""Accesses to memory and what nothing has written: loads that find it, stores that pass it on or let it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from simgpu.codegen.context import Context
from simgpu.codegen.program import UseKind
from simgpu.codegen.unwritten import Lanes, elements_of
from simgpu.codegen.values import WARP, Value, constant
from simgpu.lowering.access import SPACE_CODES, Access, Loaded
from simgpu.lowering.cells import any_of
from simgpu.lowering.shadow import watches_shared
from simgpu.ptx.syntax import Operand, Space
from simgpu.runtime import state

_WORD_BYTES = 4
_CONTENT_SPACES = frozenset({Space.GLOBAL, Space.LOCAL, Space.GENERIC})
_POISONS = {
    # Of the pattern's bytes, those that honest bytes seldom are.
    "i8": (state.POISON & 0xFF, state.POISON >> 16 & 0xFF),
    "i16": (state.POISON & 0xFFFF, state.POISON >> 16),
    "i32": (state.POISON,),
}


def followed(c: Context, access: Access) -> bool:
    """Whether what an access loads is followed if nothing has written it."""
    watched = access.space in _CONTENT_SPACES or watches_shared(c, access)
    return c.unwritten.followed and watched and access.instruction not in c.merging


def unwritten_words(c: Context, access: Access, loaded: Loaded) -> Loaded:
    """Tell apart in which lanes each word of what was loaded is what nothing has written."""
    if not followed(c, access):
        return replace(loaded, unwritten=())
    values, (shared,) = loaded.values, loaded.unwritten
    if access.space in _CONTENT_SPACES:
        found = c.rarely(_look_unwritten(c, access, values), lambda: [_confirmed(c, access, values, shared)])
    elif access.size <= _WORD_BYTES:
        found = [shared]
    else:
        some = c.e.compare("icmp ne", shared, constant("i32", 0))
        found = c.rarely(some, lambda: [_among(c, shared, _words(c, access, values))])
    return replace(loaded, unwritten=tuple(found))


def words_of(access: Access) -> int:
    """Count the words of what an access loads."""
    return max(access.size // _WORD_BYTES, 1)


def element_lanes(access: Access, loaded: Loaded) -> list[Lanes]:
    """Return the lanes in which each element, or each word of wider ones, is unwritten, if that is followed."""
    per_word = min(max(_WORD_BYTES // access.element_bytes, 1), access.count)
    return [lanes for masks in loaded.unwritten for lanes in elements_of(masks) for _ in range(per_word)]


def _look_unwritten(c: Context, access: Access, values: Sequence[Value]) -> Value:
    """Tell whether any word of what lanes that run have loaded looks like the pattern of unwritten memory."""
    if access.element_bytes > _WORD_BYTES:
        words = [looks_unwritten(c, c.e.reinterpret(value, "i32")) for value in values]
    else:
        words = _words(c, access, values)
    some = words[0]
    for word in words[1:]:
        some = c.e.binary("or", some, word)
    if some.lanes == WARP:
        return c.e.compare("icmp ne", c.e.binary("and", c.bits(some), c.bits()), constant("i32", 0))
    return any_of(c, some)


def _words(c: Context, access: Access, values: Sequence[Value]) -> list[Value]:
    """Return for each word in which lanes it looks like the pattern."""
    if access.element_bytes > _WORD_BYTES:
        pieces = [c.e.cast("trunc", c.e.number("lshr", value, shift), "i32") for value in values for shift in (0, 32)]
        return [looks_unwritten(c, piece) for piece in pieces]
    alike = [looks_unwritten(c, value) for value in values]
    per_word = _WORD_BYTES // access.element_bytes
    words = []
    for first in range(0, len(alike), per_word):
        word = alike[first]
        for other in alike[first + 1 : first + per_word]:
            word = c.e.binary("and", word, other)
        words.append(word)
    return words


def looks_unwritten(c: Context, value: Value) -> Value:
    """Compare integers with the pattern of unwritten memory, narrow ones with all of its parts."""
    alike = constant("i1", 0)
    for word in _POISONS[value.element]:
        alike = c.e.binary("or", alike, c.e.compare("icmp eq", value, constant(value.element, word, value.lanes)))
    return alike


def _among(c: Context, lanes: Value, words: Sequence[Value]) -> Value:
    """Return the masks of all words as one vector."""
    masks = [c.e.binary("and", lanes, _lane_bits(c, word)) for word in words]
    if len(masks) == 1:
        return masks[0]
    vector = Value("zeroinitializer", "i32", len(masks))
    for place, mask in enumerate(masks):
        vector = c.e.value(f"insertelement {vector.typed}, {mask.typed}, i64 {place}", "i32", len(masks))
    return vector


def _lane_bits(c: Context, flags: Value) -> Value:
    """Return flags as a mask; one flag counts for all lanes."""
    if flags.lanes == 1:
        return c.e.select(flags, constant("i32", -1), constant("i32", 0))
    return c.bits(flags)


def _confirmed(c: Context, access: Access, values: Sequence[Value], shared: Value) -> Value:
    """Look closer; return the lanes in which each word is one that nothing has written."""
    lanes = c.e.call(
        "sgpu_unwritten", constant("i32", 0), c.worker, access.site_number, c.e.splat(access.address), c.bits(),
        constant("i32", access.size), constant("i32", SPACE_CODES[access.space]),
    )  # fmt: skip
    lanes = _for_all(c, access, lanes)
    lanes = lanes if shared.text == "0" else c.e.binary("or", lanes, shared)
    return _among(c, lanes, _words(c, access, values))


def _for_all(c: Context, access: Access, lanes: Value) -> Value:
    """Where one address serves all lanes, what one has read all have."""
    if access.address.lanes > 1:
        return lanes
    some = c.e.compare("icmp ne", lanes, constant("i32", 0))
    return c.e.select(some, constant("i32", -1), constant("i32", 0))


@dataclass(frozen=True, slots=True)
class Leaving:
    """Stored values that nothing has written: their use's number, and a mask of lanes for each part of the access."""

    site: Value
    masks: tuple[Value, ...]


def leaving(c: Context, access: Access, items: Sequence[Operand], unwritten: Sequence[Lanes]) -> Leaving | None:
    """Describe what is stored, if any of it may be unwritten: `unwritten` has the lanes of equal parts of it."""
    if not any(unwritten):
        return None
    if access.space is Space.GLOBAL:
        unwritten = [c.unwritten.joined(unwritten)]
    site = c.unwritten.use_site(access.instruction, items, UseKind.STORED)
    return Leaving(site, tuple(c.unwritten.number(lanes) for lanes in unwritten))


def watch_leaving(c: Context, access: Access, leaves: Leaving) -> None:
    """Follow such values into shared and local memory, or out of the kernel."""
    whole = leaves.masks[0]
    for mask in leaves.masks[1:]:
        whole = c.e.binary("or", whole, mask)

    def leave() -> Sequence[Value]:
        running = _last_bit(c) if access.address.lanes == 1 else c.bits()
        for place, mask in enumerate(leaves.masks):
            here = c.e.binary("and", mask, running)
            if access.space is Space.GLOBAL:
                c.e.call("sgpu_use_unwritten", None, c.worker, leaves.site, here)
            else:
                _pass_on(c, access, leaves.site, here, place=place, unit=access.size // len(leaves.masks))
        return ()

    c.rarely(c.e.compare("icmp ne", whole, constant("i32", 0)), leave)


def _pass_on(c: Context, access: Access, site: Value, lanes: Value, *, place: int, unit: int) -> None:
    """Let the runtime find out what it means that one part of a store is unwritten."""
    c.e.call(
        "sgpu_store_unwritten", None, c.worker, site, c.e.splat(access.address), lanes, constant("i32", place * unit),
        constant("i32", unit), constant("i32", SPACE_CODES[access.space]), constant("i32", c.program.shared_shift),
    )  # fmt: skip


def _last_bit(c: Context) -> Value:
    """Return the lane whose value stays when all store to one place."""
    if c.full:
        return constant("i32", -(1 << 31))
    leading = c.e.intrinsic("ctlz", c.bits(), extra="i1 true")
    return c.e.binary("lshr", constant("i32", -(1 << 31)), leading)
