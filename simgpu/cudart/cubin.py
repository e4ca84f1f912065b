"""Reads what ptxas decided about each kernel out of a cubin: registers and stack per thread.

A cubin is an ELF file whose section `.nv.info` lists attributes. Only two of them matter here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_ELF_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_ATTRIBUTE = struct.Struct("<BBH")
_PAIR = struct.Struct("<II")
_SIZED_VALUE = 4
"""The attribute form whose 16-bit field is the length of a value that follows."""
_REGISTER_COUNT = 0x2F
_FRAME_SIZE = 0x11


@dataclass(frozen=True, slots=True)
class KernelResources:
    """What one kernel takes per thread."""

    registers: int
    stack_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Section:
    name: int
    link: int
    data: bytes


def _sections(cubin: bytes) -> tuple[list[_Section], bytes]:
    """Return the sections and the table of their names."""
    header = _ELF_HEADER.unpack_from(cubin)
    table, size, count, names = header[6], header[11], header[12], header[13]
    sections = []
    for index in range(count):
        fields = _SECTION.unpack_from(cubin, table + index * size)
        name, kind, offset, length, link = fields[0], fields[1], fields[4], fields[5], fields[6]
        no_bits = 8
        sections.append(_Section(name, link, b"" if kind == no_bits else cubin[offset : offset + length]))
    return sections, sections[names].data


def _string(table: bytes, offset: int) -> str:
    return table[offset : table.index(b"\0", offset)].decode()


def _attributes(info: bytes) -> dict[tuple[int, int], int]:
    """Return the values of `.nv.info` by attribute and symbol index."""
    values = {}
    offset = 0
    while offset + _ATTRIBUTE.size <= len(info):
        form, attribute, length = _ATTRIBUTE.unpack_from(info, offset)
        offset += _ATTRIBUTE.size
        if form != _SIZED_VALUE:
            continue
        if length == _PAIR.size:
            symbol, value = _PAIR.unpack_from(info, offset)
            values[attribute, symbol] = value
        offset += length
    return values


def kernel_resources(cubin: bytes) -> dict[str, KernelResources]:
    """Return the resources of each function in a cubin, by mangled name.

    Raises
    ------
    ValueError
        The bytes are not a whole ELF file.
    """
    try:
        sections, names = _sections(cubin)
        by_name = {_string(names, section.name): section for section in sections}
        info, symbols = by_name.get(".nv.info"), by_name.get(".symtab")
        if info is None or symbols is None:
            return {}
        values = _attributes(info.data)
        strings = sections[symbols.link].data
        found = {}
        for (attribute, symbol), value in values.items():
            if attribute == _REGISTER_COUNT:
                name = _string(strings, _SYMBOL.unpack_from(symbols.data, symbol * _SYMBOL.size)[0])
                found[name] = KernelResources(registers=value, stack_bytes=values.get((_FRAME_SIZE, symbol), 0))
    except (struct.error, IndexError) as error:
        raise ValueError(f"not a whole cubin: {error}") from error
    return found
