"""What kernels print: the records of device `printf`, formatted as C does."""

from __future__ import annotations

import re
import struct

from simgpu.memory import DeviceMemory
from simgpu.runtime import state

_CONVERSION = re.compile(
    r"%(?P<flags>[-+ #0]*)(?P<width>\*|\d*)(?P<precision>\.(?:\*|\d*))?"
    r"(?P<length>hh|h|ll|l|z|j|t)?(?P<kind>[diouxXeEfFgGaAcsp%])"
)
_LONG = frozenset({"l", "ll", "z", "j", "t"})
_LONGEST_TEXT = 4096


class _Arguments:
    """Reads packed arguments, each at a multiple of its size."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def take(self, code: str) -> int | float:
        """Read the next argument by its `struct` code."""
        size = struct.calcsize(code)
        self._place = -(-self._place // size) * size
        (value,) = struct.unpack_from(f"<{code}", self._data.ljust(self._place + size, b"\0"), self._place)
        self._place += size
        return value if isinstance(value, float) else int(value)


def printed_text(records: bytes, memory: DeviceMemory) -> str:
    """Format a worker's records in the order in which they were written."""
    parts = []
    for start in range(0, len(records), state.PRINT_RECORD):
        record = records[start : start + state.PRINT_RECORD]
        address = int.from_bytes(record[:8], "little")
        parts.append(_format(_text_at(memory, address), _Arguments(record[8:]), memory))
    return "".join(parts)


def _format(template: str, arguments: _Arguments, memory: DeviceMemory) -> str:
    def replace(match: re.Match[str]) -> str:
        kind = match["kind"]
        if kind == "%":
            return "%"
        width = str(arguments.take("i")) if match["width"] == "*" else match["width"]
        precision = match["precision"] or ""
        if precision == ".*":
            precision = f".{arguments.take('i')}"
        style = f"%{match['flags']}{width}{precision}"
        if kind in "eEfFgGaA":
            number = arguments.take("d")
            return float(number).hex() if kind in "aA" else f"{style}{kind}" % number
        return _whole(style, kind, match["length"] in _LONG, arguments, memory)

    return _CONVERSION.sub(replace, template)


def _whole(style: str, kind: str, long: bool, arguments: _Arguments, memory: DeviceMemory) -> str:  # noqa: FBT001
    """Format integers, characters, pointers and strings."""
    if kind == "s":
        return f"{style}s" % _text_at(memory, int(arguments.take("Q")))
    if kind == "p":
        return f"{style}s" % hex(int(arguments.take("Q")))
    if kind == "c":
        return f"{style}c" % (int(arguments.take("i")) & 0xFF)
    signed = kind in "di"
    number = arguments.take(("q" if signed else "Q") if long else ("i" if signed else "I"))
    return f"{style}{'d' if kind in 'diu' else kind}" % number


def _text_at(memory: DeviceMemory, address: int) -> str:
    """Read a C string from device memory."""
    found = memory.find(address)
    if found is None:
        return ""
    data = bytes(memory.view(address, min(found.end - address, _LONGEST_TEXT)))
    return data.partition(b"\0")[0].decode("utf-8", "replace")
