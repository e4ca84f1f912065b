"""How one warp-wide memory access becomes host loads or stores.

The shape of the address chooses: one word and a broadcast, one vector, a vector or a few words permuted by a
constant pattern, else one word for each lane. Every fast form is guarded by a cheap test of its bounds (and of its
shape, if a narrower address may have wrapped around); what fails the test goes through the runtime's check, lane
by lane, which reports the fault or finds the right place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from simgpu.analysis.shapes import Shape
from simgpu.codegen.context import Context
from simgpu.codegen.program import UseKind
from simgpu.codegen.values import WARP, Value, constant, pattern
from simgpu.lowering.shadow import RACE_SHARED, Action, action_of, blame_changes, changes, watch, watches_shared
from simgpu.lowering.tags import RACE_GLOBAL, give_tags, watch_tags, watches_global
from simgpu.ptx.syntax import Address, Instruction, Register, Space

SPACE_CODES = {Space.GLOBAL: 0, Space.CONST: 0, Space.SHARED: 1, Space.LOCAL: 2, Space.GENERIC: 3}
_SHARED_BITS = 32
_FEW_WORDS = 4
_PERMUTED_SPAN = 64
_NO_LANES = constant("i32", 0)


@dataclass(frozen=True, slots=True)
class Access:
    """A memory access: `count` elements of `element` type in each lane, at `address` in `space`."""

    instruction: Instruction
    space: Space
    element: str
    count: int
    address: Value
    shape: Shape | None
    site: int
    wide: bool
    """Whether the address comes from a 64-bit register."""
    action: Action
    given_site: Value | None = None
    """The site's number where code serves several sites."""

    @property
    def site_number(self) -> Value:
        """The number under which the runtime knows the access."""
        return constant("i32", self.site) if self.given_site is None else self.given_site

    @property
    def aligned(self) -> bool:
        """Whether the address is known to be a multiple of the access' size."""
        shape = self.shape
        if self.size == 1:
            return True
        return (
            shape is not None and shape.align % self.size == 0 and all(step % self.size == 0 for step in shape.pattern)
        )

    @property
    def element_bytes(self) -> int:
        """Bytes of one element."""
        return int(self.element[1:]) // 8

    @property
    def size(self) -> int:
        """Bytes of one lane's access; the address must be a multiple of it."""
        return self.element_bytes * self.count

    def at(self, address: Value) -> Access:
        """Return the access at another address for each lane."""
        return replace(self, address=address, shape=None)

    def spread(self, c: Context) -> Access:
        """Return the access with an address for each lane, whatever is known of their pattern."""
        return replace(self, address=c.e.splat(self.address), shape=None)


def open_access(
    c: Context,
    i: Instruction,
    operand: Address,
    space: Space,
    *,
    element: str,
    count: int,
    action: Action | None = None,
) -> Access:
    """Describe an access; `action` is needed where the opcode does not tell whether it reads or writes."""
    size = int(element[1:]) // 8 * count
    c.unwritten.use(i, (operand,), UseKind.ADDRESS)
    site = c.program.site(i, size, space)
    address = c.address(operand)
    shape = c.shape(operand)
    if space is Space.LOCAL or (space is Space.GENERIC and c.program.local_bytes):
        address, shape = c.e.splat(address), None
    elif shape is not None and shape.uniform and not shape.wrapped:
        address = c.e.extract(address, 0)
    wide = not isinstance(operand.base, Register) or operand.base.type.bits > _SHARED_BITS
    return Access(i, space, element, count, address, shape, site, wide, action_of(i) if action is None else action)


def uniform_pointer(c: Context, access: Access) -> Value:
    """Check an address that all lanes share and return the host pointer."""
    address = access.address
    host = c.e.binary("add", c.field("shared", "i64"), address) if access.space is Space.SHARED else address
    if not _checked(c, access):
        return _pointer(c, host)
    good = _in_bounds(c, access, address, access.size)
    here, slow, go = c.e.block, c.e.label("slow"), c.e.label("go")
    c.e.line(f"br i1 {good.text}, label %{go}, label %{slow}, !prof !1")
    c.e.start(slow)
    code = constant("i32", SPACE_CODES[access.space])
    found = c.e.call(
        "sgpu_resolve_lane", constant("i64", 0), c.worker, access.site_number, address, c.first_lane(),
        constant("i32", access.size), code,
    )  # fmt: skip
    c.e.line(f"br label %{go}")
    c.e.start(go)
    joined = c.e.value(f"phi i64 [ {host.text}, %{here} ], [ {found.text}, %{slow} ]", "i64", 1)
    return _pointer(c, joined)


def _checked(c: Context, access: Access) -> bool:
    return c.program.variant.checks or access.space is Space.GENERIC


def _pointer(c: Context, host: Value) -> Value:
    return c.e.cast("inttoptr", host, "ptr")


def _in_bounds(c: Context, access: Access, first: Value, span: int) -> Value:
    """Test that `span` bytes from a scalar address lie within known bounds, and the address' alignment."""
    if access.space is Space.SHARED:
        limit = c.field("shared_size", "i64")
        # Shared addresses are 32 bits wide in practice; a signed test also fails where the limit is below the span.
        low = c.e.compare("icmp sle", first, c.e.number("sub", limit, span))
        inside = c.e.binary("and", low, c.e.compare("icmp sge", first, constant("i64", 0))) if access.wide else low
    else:
        end = c.e.number("add", first, span)
        entry = c.e.number("shl", c.e.resize(access.site_number, "i64"), 4)
        cache = c.e.address(c.field("cache", "ptr"), entry)
        low, high = c.e.load(cache, "i64"), c.e.load(c.e.address(cache, 8), "i64")
        inside = c.e.binary("and", c.e.compare("icmp uge", first, low), c.e.compare("icmp ule", end, high))
    if access.aligned:
        return inside
    odd = c.e.number("and", first, access.size - 1)
    return c.e.binary("and", inside, c.e.compare("icmp eq", odd, constant("i64", 0)))


@dataclass(frozen=True, slots=True)
class Places:
    """Checked host addresses, one for each lane."""

    hosts: Value
    unwritten: Value
    """The lanes that read what nothing has written in shared memory."""


def resolve(c: Context, access: Access) -> Places:
    """Check each lane's access by the runtime, its shadow included."""
    hosts, found = translate(c, access), _NO_LANES
    hard = Action.HARD if access.action is Action.WRITE else Action(0)
    if watches_shared(c, access):
        found = watch(c, access, access.action | hard)
    if watches_global(c, access):
        suspects = watch_tags(c, access, access.action | hard)
        if access.action is Action.WRITE:
            give_tags(c, access, suspects)
    return Places(hosts, found if Action.READ in access.action else _NO_LANES)


def settle_tags(c: Context, access: Access) -> None:
    """Take a place over by an atomic that has been done: it is nobody's.

    Another block may give a lock back by a plain store at any moment. Whoever looked only before the atomic could miss
    that store's tag, take the lock, and be called a racer at its own store. To accuse, only what was there before
    counts: a counter may be cleared by the last block as soon as all atomics are done.
    """
    if watches_global(c, access):
        watch_tags(c, access, access.action & ~Action.READ)


def translate(c: Context, access: Access) -> Value:
    """Check and translate each lane's address by the runtime; return the host addresses."""
    if not _checked(c, access) and access.space in {Space.GLOBAL, Space.CONST}:
        return access.address
    code = SPACE_CODES[access.space]
    return c.e.call(
        "sgpu_resolve", constant("i64", 0, WARP), c.worker, access.site_number, access.address, c.bits(),
        constant("i32", access.size), constant("i32", code),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of memory that serves all lanes: `first` is its lowest address, lanes lie `offsets` bytes in."""

    first: Value
    offsets: tuple[int, ...]

    @property
    def span(self) -> int:
        """Bytes from the first lane's address to the last's."""
        return max(self.offsets)


def find_window(c: Context, access: Access) -> Window | None:
    """Return the window of a patterned access; None when lanes follow no usable pattern."""
    shape = access.shape
    if shape is None or access.address.lanes == 1:
        return None
    low = min(shape.pattern)
    offsets = tuple(value - low for value in shape.pattern)
    lane = offsets.index(0)
    first = c.e.extract(access.address, lane)
    return Window(first, offsets)


def contiguous(access: Access, window: Window) -> bool:
    """Whether lanes use consecutive places in order."""
    return all(offset == lane * access.size for lane, offset in enumerate(window.offsets))


def guarded(
    c: Context,
    access: Access,
    window: Window,
    fast: Callable[[Value], Sequence[Value]],
    slow: Callable[[], Sequence[Value]],
) -> list[Value]:
    """Generate the fast form behind its test and the slow one beside it; return the joined values."""
    good = _window_test(c, access, window)
    host = window.first
    if access.space is Space.SHARED:
        host = c.e.binary("add", c.field("shared", "i64"), host)
    if good is None:
        return list(fast(_pointer(c, host)))
    quick, careful, join = c.e.label("fast"), c.e.label("careful"), c.e.label("join")
    c.e.line(f"br i1 {good.text}, label %{quick}, label %{careful}, !prof !1")
    c.e.start(quick)
    first = fast(_pointer(c, host))
    quick_end = c.e.block
    c.e.line(f"br label %{join}")
    c.e.start(careful)
    second = slow()
    careful_end = c.e.block
    c.e.line(f"br label %{join}")
    c.e.start(join)
    return [
        one
        if one == two == _NO_LANES
        else c.e.value(
            f"phi {one.type} [ {one.text}, %{quick_end} ], [ {two.text}, %{careful_end} ]", one.element, one.lanes
        )
        for one, two in zip(first, second, strict=True)
    ]


def _window_test(c: Context, access: Access, window: Window) -> Value | None:
    """Return the test that the window form is right here; None if nothing can go wrong."""
    good = None
    if _checked(c, access):
        good = _in_bounds(c, access, window.first, window.span + access.size)
    if access.shape is not None and access.shape.wrapped:
        lane = window.offsets.index(window.span)
        gap = c.e.binary("sub", c.e.extract(access.address, lane), window.first)
        whole = c.e.compare("icmp eq", gap, constant("i64", window.span))
        good = whole if good is None else c.e.binary("and", good, whole)
    return good


@dataclass(frozen=True, slots=True)
class Loaded:
    """The elements that lanes have loaded, and masks of the lanes in which they are what nothing has written.

    At first that is one mask, of what was read in shared memory; then a vector of one for each word, or nothing where
    nothing is followed.
    """

    values: tuple[Value, ...]
    unwritten: tuple[Value, ...]

    @classmethod
    def of(cls, flat: Sequence[Value], count: int) -> Loaded:
        """Take apart what `flat` returns; `count` tells how many elements there are."""
        return cls(tuple(flat[:count]), tuple(flat[count:]))

    @property
    def flat(self) -> list[Value]:
        """All of it in one list, as ways of the generated code join it."""
        return [*self.values, *self.unwritten]


def gather(c: Context, access: Access) -> Loaded:
    """Load one lane after the other."""
    places = resolve(c, access)
    values = (_gathered(c, places.hosts, access, place) for place in range(access.count))
    return Loaded(tuple(values), (places.unwritten,))


def _gathered(c: Context, hosts: Value, access: Access, place: int) -> Value:
    return c.e.call(
        f"sgpu_gather_{access.element}", constant(access.element, 0, WARP), _step(c, hosts, access, place), c.bits()
    )


def watch_load(c: Context, access: Access, window: Window | None = None) -> Value:
    """Check a load for races; return the lanes that read what nothing has written in shared memory.

    Where one address serves all lanes, it is all lanes.
    """
    found = _NO_LANES
    if watches_shared(c, access):
        found = watch(c, access, access.action, *_pattern(access, window))
        if access.address.lanes == 1:
            some = c.e.compare("icmp ne", found, _NO_LANES)
            found = c.e.select(some, constant("i32", -1), _NO_LANES)
    if watches_global(c, access):
        _watch_tags(c, access, window)
    return found


def _watch_tags(c: Context, access: Access, window: Window | None) -> Value:
    if window is None:
        return watch_tags(c, access, access.action, access.address if access.address.lanes == 1 else None)
    consecutive = contiguous(access, window)
    return watch_tags(c, access, access.action, window.first, window.span, consecutive=consecutive)


def _pattern(access: Access, window: Window | None) -> tuple[Value | None, Sequence[int]]:
    if access.address.lanes == 1:
        return access.address, (0,)
    return (None, ()) if window is None else (window.first, window.offsets)


def watch_store(
    c: Context,
    access: Access,
    values: Sequence[Value],
    present: Callable[[], Sequence[Value]],
    window: Window | None = None,
) -> None:
    """Check a store for races before it is done; `present` loads what is there, since an unchanging one is none.

    Its places are tagged here too. Tagged after it is done, a store that gives a lock back would be seen before its
    tag, which then came upon the lock's next holder.
    """
    if watches_shared(c, access):
        suspects = watch(c, access, access.action, *_pattern(access, window))
        _blame(c, access, values, present, suspects=suspects, kind=RACE_SHARED)
    if not watches_global(c, access):
        return
    suspects = _watch_tags(c, access, window)
    _blame(c, access, values, present, suspects=suspects, kind=RACE_GLOBAL)
    if access.action is Action.WRITE:
        consecutive = window is not None and contiguous(access, window)
        give_tags(c, access, suspects, window.first if consecutive and window is not None else None)


def _blame(
    c: Context,
    access: Access,
    values: Sequence[Value],
    present: Callable[[], Sequence[Value]],
    *,
    suspects: Value,
    kind: int,
) -> None:
    """Report the suspects whose plain store changes what is there."""
    if access.action is not Action.WRITE:
        return
    compare, doubt, again, accuse, go = map(c.e.label, ("compare", "doubt", "again", "accuse", "go"))
    some = c.e.compare("icmp ne", suspects, constant("i32", 0))
    before = c.e.block
    c.e.line(f"br i1 {some.text}, label %{compare}, label %{go}, !prof !0")
    c.e.start(compare)
    attempt = c.e.value(f"phi i32 [ 0, %{before} ], [ %{again}.n, %{again} ]", "i32", 1)
    guilty = changes(c, suspects, present(), values)
    change = c.e.compare("icmp ne", guilty, constant("i32", 0))
    c.e.line(f"br i1 {change.text}, label %{doubt}, label %{go}")
    c.e.start(doubt)
    # A block on another host thread may have tagged the place, and not have stored yet what it is about to.
    waited = (
        c.e.call("sgpu_doubt", constant("i32", 0), c.worker, attempt) if kind == RACE_GLOBAL else constant("i32", 0)
    )
    more = c.e.compare("icmp ne", waited, constant("i32", 0))
    c.e.line(f"br i1 {more.text}, label %{again}, label %{accuse}")
    c.e.start(again)
    c.e.line(f"%{again}.n = add i32 {attempt.text}, 1")
    c.e.line(f"br label %{compare}")
    c.e.start(accuse)
    blame_changes(c, access, guilty, kind=kind)
    c.e.line(f"br label %{go}")
    c.e.start(go)


def scatter(c: Context, access: Access, values: Sequence[Value]) -> list[Value]:
    """Store one lane after the other, lane 31 last."""
    hosts = translate(c, access)
    mask = c.bits()
    watch_store(c, access, values, lambda: [_gathered(c, hosts, access, place) for place in range(access.count)])
    for place, value in enumerate(values):
        c.e.call(f"sgpu_scatter_{access.element}", None, _step(c, hosts, access, place), mask, c.e.splat(value))
    return []


def _step(c: Context, hosts: Value, access: Access, place: int) -> Value:
    return c.e.number("add", hosts, place * access.element_bytes) if place else hosts


def permuted_load(c: Context, access: Access, window: Window) -> Callable[[Value], list[Value]] | None:
    """Return a loader for a constant pattern: a few words, or one short vector, spread over the lanes."""
    if access.count != 1:
        return None
    places = sorted(set(window.offsets))
    unit = access.element_bytes
    if len(places) <= _FEW_WORDS:
        return lambda pointer: [_few_words(c, access, window, places, pointer)]
    if any(place % unit for place in places) or window.span // unit >= _PERMUTED_SPAN:
        return None
    length = window.span // unit + 1

    def load(pointer: Value) -> list[Value]:
        words = c.e.load(pointer, access.element, length, unit)
        return [c.e.shuffle(words, [offset // unit for offset in window.offsets])]

    return load


def _few_words(c: Context, access: Access, window: Window, places: Sequence[int], pointer: Value) -> Value:
    total: Value | None = None
    for place in places:
        word = c.e.splat(c.e.load(c.e.address(pointer, place), access.element))
        if total is None:
            total = word
        else:
            here = pattern("i1", [offset == place for offset in window.offsets])
            total = c.e.select(here, word, total)
    if total is None:
        raise c.unsupported(access.instruction)
    return total


def count_access(c: Context, access: Access, kind: int) -> None:
    """Add an access to the counters; `kind` is 0 for a load, 1 for a store, 2 for an atomic."""
    if not c.program.variant.counters or access.space is Space.CONST:
        return
    site, address, mask = access.site_number, c.e.splat(access.address), c.bits()
    size = constant("i32", access.size)
    if access.space is Space.SHARED:
        c.e.call("sgpu_count_shared", None, c.worker, site, address, mask, size)
    elif access.space is Space.LOCAL:
        c.e.call("sgpu_count_local", None, c.worker, site, mask, size)
    else:
        c.e.call("sgpu_count_global", None, c.worker, site, address, mask, size, constant("i32", kind))
