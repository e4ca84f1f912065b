"""Parse types, variables, parameters and initialisers."""

from __future__ import annotations

import struct

from simgpu.errors import UnsupportedError
from simgpu.ptx.cursor import Cursor
from simgpu.ptx.syntax import FloatImmediate, Reference, ScalarType, Space, Symbol, Variable
from simgpu.ptx.tokens import TokenKind

_TYPES = {f".{kind.value}": kind for kind in ScalarType}
_VECTORS = {".v2": 2, ".v4": 4}
_ADDRESS_BYTES = 8
_DOUBLE = 64


def parse_type(cursor: Cursor) -> ScalarType:
    """Consume a type directive.

    Raises
    ------
    UnsupportedError
        When simgpu knows no such type.
    """
    token = cursor.next()
    if token.text not in _TYPES:
        raise UnsupportedError(f"type {token.text} (PTX line {token.line})")
    return _TYPES[token.text]


def parse_variable(cursor: Cursor, space: Space, *, external: bool = False) -> Variable:
    """Consume a declaration after its state space: alignment, type, name, dimensions, initialiser."""
    align, count, kind = 0, 1, None
    while cursor.token.kind is TokenKind.DIRECTIVE:
        text = cursor.token.text
        if text == ".align":
            cursor.next()
            align = cursor.integer()
        elif text == ".ptr":
            cursor.next()
            align = _pointer_attributes(cursor, align)
        elif text in _VECTORS:
            count = _VECTORS[cursor.next().text]
        elif text == ".attribute":
            cursor.skip_to(")")
        else:
            kind = parse_type(cursor)
    if kind is None:
        raise cursor.error("expected a type")
    unit = max(kind.bits // 8, 1)
    name = cursor.word()
    size = _dimensions(cursor, unit * count)
    initial, references = _initialiser(cursor, unit, size)
    if size is None and initial:
        size = len(initial)
    return Variable(name, space, kind, size, align or unit * count, initial, references, external)


def _pointer_attributes(cursor: Cursor, align: int) -> int:
    """Consume what follows `.ptr`; it describes the pointee, so the parameter's own alignment stays."""
    while cursor.token.text in {".global", ".shared", ".local", ".const", ".generic", ".align"}:
        if cursor.next().text == ".align":
            cursor.integer()
    return align


def _dimensions(cursor: Cursor, unit: int) -> int | None:
    size: int | None = unit
    while cursor.accept("["):
        if cursor.accept("]"):
            size = None
            continue
        length = cursor.integer()
        cursor.expect("]")
        size = None if size is None else size * length
    return size


def _initialiser(cursor: Cursor, unit: int, size: int | None) -> tuple[bytes, tuple[Reference, ...]]:
    if not cursor.accept("="):
        return b"", ()
    data = bytearray()
    references: list[Reference] = []
    depth = 0
    while True:
        if cursor.accept("{"):
            depth += 1
        elif cursor.accept("}"):
            depth -= 1
        elif not cursor.accept(","):
            _initial_element(cursor, unit, data, references)
        if depth == 0:
            break
    return bytes(data).ljust(size or 0, b"\0"), tuple(references)


def _initial_element(cursor: Cursor, unit: int, data: bytearray, references: list[Reference]) -> None:
    if cursor.token.kind is TokenKind.WORD:
        references.append(Reference(len(data), _initial_symbol(cursor)))
        data += bytes(_ADDRESS_BYTES)
        return
    constant = cursor.constant()
    if isinstance(constant, FloatImmediate):
        data += float_bits(constant, unit * 8).to_bytes(unit, "little")
    else:
        data += (constant.value % (1 << unit * 8)).to_bytes(unit, "little")


def _initial_symbol(cursor: Cursor) -> Symbol:
    """Consume a name, `generic(name)`, and an added offset."""
    line = cursor.token.line
    name = cursor.word()
    if name == "generic":
        cursor.expect("(")
        name = cursor.word()
        cursor.expect(")")
    elif cursor.at("("):
        raise UnsupportedError(f"initialiser operator {name} (PTX line {line})")
    return Symbol(name, cursor.integer() if cursor.accept("+") else 0)


def float_bits(constant: FloatImmediate, width: int) -> int:
    """Return the bits of a constant as a float of `width` bits (32 or 64), rounded to nearest."""
    if constant.width == width:
        return constant.bits
    if width == _DOUBLE:
        value = struct.unpack("<f", constant.bits.to_bytes(4, "little"))[0]
        return int.from_bytes(struct.pack("<d", value), "little")
    value = struct.unpack("<d", constant.bits.to_bytes(8, "little"))[0]
    return int.from_bytes(struct.pack("<f", value), "little")
