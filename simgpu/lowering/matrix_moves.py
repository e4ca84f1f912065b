"""Moves of 8x8 matrices: `ldmatrix`, `stmatrix`, `movmatrix` (PTX ISA, 'Warp-level Matrix Load Instruction')."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from simgpu.codegen.context import Context
from simgpu.codegen.unwritten import Lanes, lanes_of
from simgpu.codegen.values import WARP, Value, constant, pattern
from simgpu.lowering.access import Access, Places, count_access, open_access, resolve, translate
from simgpu.lowering.matrix import registers, write_registers
from simgpu.lowering.modifiers import Modifiers
from simgpu.lowering.shadow import RACE_SHARED, Action, blame_changes, watch, watches_shared
from simgpu.lowering.tags import watches_global
from simgpu.lowering.unwritten_memory import leaving, looks_unwritten, watch_leaving
from simgpu.ptx.syntax import Address, Instruction, Operand, ScalarType, Space, Vector

_ROW_BYTES = 16
_MATRIX_LANES = 8
_COUNTS = {"x1": 1, "x2": 2, "x4": 4}
_NO_LANES = constant("i32", 0)


@dataclass(frozen=True, slots=True)
class _Rows:
    """What an instruction moves: `count` matrices of 8x8, to or from rows that the lanes point to."""

    count: int
    transposed: bool
    access: Access
    places: Places
    suspects: Value
    """Of a store: the lanes that point to rows which another warp used with no barrier since."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What a store brings to memory at once: one element from each lane."""

    hosts: Value
    item: Operand
    value: Value
    rows: tuple[int, ...]
    """For each lane, the lane that points to its element's row."""


def _load_matrices(c: Context, i: Instruction) -> None:
    """`ldmatrix`: lanes 8 m to 8 m + 7 point to the rows of matrix m; every lane gets two of its elements."""
    rows = _matrix_rows(c, i, i.operands[1], counted=0)
    load = _transposed_pair if rows.transposed else _row_pair
    values = [load(c, rows.places.hosts, _MATRIX_LANES * matrix) for matrix in range(rows.count)]
    target = i.operands[0]
    unwritten = _unwritten_elements(c, rows.places.unwritten, values, transposed=rows.transposed)
    write_registers(c, i, target if isinstance(target, Vector) else Vector((target,)), values, unwritten)


def _unwritten_elements(c: Context, rows: Value, values: Sequence[Value], *, transposed: bool) -> list[Lanes]:
    """Return where loaded registers are unwritten, given the lanes that point to rows with unwritten words."""
    if not c.unwritten.followed or rows.text == "0":
        return []

    def found() -> list[Value]:
        return [_unwritten_lanes(c, rows, matrix, value, transposed=transposed) for matrix, value in enumerate(values)]

    some = c.e.compare("icmp ne", rows, constant("i32", 0))
    return [lanes_of(lanes) for lanes in c.rarely(some, found)]


def _unwritten_lanes(c: Context, rows: Value, matrix: int, value: Value, *, transposed: bool) -> Value:
    """Return the lanes that got such a word: from their row, or when transposed from either of two."""
    sources = [[lane // 4 for lane in range(WARP)]]
    if transposed:
        sources = [[lane % 4 * 2 + place for lane in range(WARP)] for place in range(2)]
    touched = constant("i32", 0, WARP)
    for source in sources:
        pointing = pattern("i32", [_MATRIX_LANES * matrix + row for row in source])
        touched = c.e.binary("or", touched, c.e.binary("lshr", c.e.splat(rows), pointing))
    alike = looks_unwritten(c, value)
    if transposed:
        halves = [c.e.cast("trunc", c.e.number("lshr", value, 16 * place), "i16") for place in range(2)]
        alike = c.e.binary("or", *(looks_unwritten(c, half) for half in halves))
    return c.bits(c.e.binary("and", c.e.cast("trunc", touched, "i1"), alike))


def _matrix_rows(c: Context, i: Instruction, place: Operand, *, counted: int) -> _Rows:
    """Read what moves, and check the addresses of the rows."""
    modifiers = Modifiers(i)
    modifiers.take("sync")
    modifiers.take("aligned")
    modifiers.take("m8n8")
    count = _COUNTS[modifiers.take(*_COUNTS) or "x1"]
    transposed = modifiers.has("trans")
    space = Space.SHARED if modifiers.take("shared", "shared::cta") else Space.GENERIC
    kind = modifiers.kind()
    modifiers.done()
    if kind is not ScalarType.B16 or not isinstance(place, Address):
        raise c.unsupported(i)
    whole = c.mask
    used = pattern("i1", [lane < _MATRIX_LANES * count for lane in range(WARP)])
    c.mask = used if c.full else c.e.binary("and", c.mask, used)
    access = open_access(c, i, place, space, element="i64", count=_ROW_BYTES // 8)
    access = access.spread(c)
    count_access(c, access, counted)
    places, suspects = _checked(c, access)
    c.mask = whole
    return _Rows(count, transposed, access, places, suspects)


def _checked(c: Context, access: Access) -> tuple[Places, Value]:
    """Check the rows, but for stores that change nothing: warps with the same values may store them to one place."""
    if access.action is not Action.WRITE or not watches_shared(c, access) or watches_global(c, access):
        return resolve(c, access), _NO_LANES
    return Places(translate(c, access), _NO_LANES), watch(c, access, access.action)


def _row_places(c: Context, hosts: Value, first: int) -> Value:
    """Return each lane's place of two neighbours in a row."""
    rows = c.e.shuffle(hosts, [first + lane // 4 for lane in range(WARP)])
    return c.e.binary("add", rows, pattern("i64", [lane % 4 * 4 for lane in range(WARP)]))


def _column_places(c: Context, hosts: Value, first: int, place: int) -> Value:
    """Return each lane's place of one of two neighbours in a column."""
    rows = c.e.shuffle(hosts, [first + lane % 4 * 2 + place for lane in range(WARP)])
    return c.e.binary("add", rows, pattern("i64", [lane // 4 * 2 for lane in range(WARP)]))


def _row_pair(c: Context, hosts: Value, first: int) -> Value:
    return c.e.call("sgpu_gather_i32", constant("i32", 0, WARP), _row_places(c, hosts, first), c.bits())


def _transposed_pair(c: Context, hosts: Value, first: int) -> Value:
    halves = []
    for place in range(2):
        spot = _column_places(c, hosts, first, place)
        half = c.e.call("sgpu_gather_i16", constant("i16", 0, WARP), spot, c.bits())
        halves.append(c.e.cast("zext", half, "i32"))
    return c.e.binary("or", halves[0], c.e.number("shl", halves[1], 16))


def _store_matrices(c: Context, i: Instruction) -> None:
    """`stmatrix`: the inverse of `ldmatrix`."""
    rows = _matrix_rows(c, i, i.operands[0], counted=1)
    given = i.operands[1]
    vector = given if isinstance(given, Vector) else Vector((given,))
    values = registers(c, i, vector)
    if len(values) != rows.count:
        raise c.unsupported(i, "a fragment of another size")
    parts = [
        part
        for matrix, (item, value) in enumerate(zip(vector.items, values, strict=True))
        for part in _parts(c, rows, _MATRIX_LANES * matrix, item, value)
    ]
    _blame(c, rows, parts)
    for part in parts:
        _store_part(c, rows, part.hosts, part.item, part.value)


def _parts(c: Context, rows: _Rows, first: int, item: Operand, value: Value) -> Iterator[_Part]:
    """Take one matrix, whose rows the lanes from `first` on point to, apart."""
    if not rows.transposed:
        row = tuple(first + lane // 4 for lane in range(WARP))
        yield _Part(_row_places(c, rows.places.hosts, first), item, value, row)
        return
    for place in range(2):
        half = c.e.cast("trunc", c.e.number("lshr", value, 16 * place), "i16")
        row = tuple(first + lane % 4 * 2 + place for lane in range(WARP))
        yield _Part(_column_places(c, rows.places.hosts, first, place), item, half, row)


def _blame(c: Context, rows: _Rows, parts: Sequence[_Part]) -> None:
    """Report the first of the suspects whose row would change."""
    if rows.suspects == _NO_LANES:
        return

    def guilty() -> list[Value]:
        changed = constant("i32", 0, WARP)
        for part in parts:
            kind = part.value.element
            there = c.e.call(f"sgpu_gather_{kind}", constant(kind, 0, WARP), part.hosts, c.bits())
            differs = c.e.compare("icmp ne", there, c.e.splat(part.value))
            pointing = pattern("i32", [1 << row for row in part.rows])
            changed = c.e.binary("or", changed, c.e.select(differs, pointing, constant("i32", 0, WARP)))
        found = c.e.binary("and", rows.suspects, c.e.reduce("or", changed))
        blame_changes(c, rows.access, found, kind=RACE_SHARED)
        return [found]

    c.rarely(c.e.compare("icmp ne", rows.suspects, _NO_LANES), guilty)


def _store_part(c: Context, rows: _Rows, hosts: Value, item: Operand, value: Value) -> None:
    c.e.call(f"sgpu_scatter_{value.element}", None, hosts, c.bits(), value)
    unwritten = leaving(c, rows.access, (item,), [c.unwritten.lanes(item)])
    if unwritten is not None:
        offsets = c.e.binary("sub", hosts, c.field("shared", "i64"))
        part = replace(rows.access, space=Space.SHARED, element=value.element, count=1, address=offsets)
        watch_leaving(c, part, unwritten)


def _transpose(c: Context, i: Instruction) -> None:
    """`movmatrix`: transpose an 8x8 matrix of 16-bit elements across the warp."""
    modifiers = Modifiers(i)
    for name in ("sync", "aligned", "m8n8", "trans", "b16"):
        modifiers.take(name)
    modifiers.done()
    value = c.e.splat(c.source(i.operands[1], ScalarType.B32))
    halves = [c.e.cast("trunc", c.e.number("lshr", value, 16 * side), "i16") for side in range(2)]
    pieces = []
    for place in range(2):
        sources = [(lane % 4 * 2 + place) * 4 + lane // 8 for lane in range(WARP)]
        odd = pattern("i1", [lane // 4 % 2 for lane in range(WARP)])
        even_row, odd_row = (c.e.shuffle(half, sources) for half in halves)
        pieces.append(c.e.cast("zext", c.e.select(odd, odd_row, even_row), "i32"))
    c.result(i.operands[0], c.e.binary("or", pieces[0], c.e.number("shl", pieces[1], 16)))


TABLE: dict[str, Callable[[Context, Instruction], None]] = {
    "ldmatrix": _load_matrices,
    "stmatrix": _store_matrices,
    "movmatrix": _transpose,
}
