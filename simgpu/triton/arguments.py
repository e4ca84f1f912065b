"""From the arguments of a Triton launch to the bytes of a kernel's parameter buffer."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simgpu import Param, UnsupportedError

_FORMATS = {"fp16": "<e", "fp32": "<f", "f32": "<f", "fp64": "<d"}
_INTEGER_BITS = {f"{sign}{bits}": bits for sign in "iu" for bits in (1, 8, 16, 32, 64)}


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument that reaches the kernel: its Triton type (`*fp32`, `i32`, ...) and its value."""

    type: str
    value: Any


def flatten(types: Sequence[Any], values: Sequence[Any]) -> Iterator[Argument]:
    """Yield the arguments that are parameters of the compiled kernel: tuples opened, constants left out.

    Raises
    ------
    UnsupportedError
        For tensor descriptors made on the host.
    """
    for kind, value in zip(types, values, strict=True):
        if isinstance(kind, tuple):
            yield from flatten(kind, tuple(value))
        elif kind == "constexpr":
            continue
        elif kind.startswith(("tensordesc", "nvTmaDesc")):
            raise UnsupportedError(f"a tensor descriptor as kernel argument ({kind}): simgpu has no tensor maps")
        else:
            yield Argument(kind, value)


def encode(argument: Argument, address_of: Callable[[Any], int]) -> bytes:
    """Return one argument's bytes; `address_of` tells where a tensor's data lies.

    Raises
    ------
    UnsupportedError
        For a type that Triton's launcher does not know.
    """
    kind, value = argument.type, argument.value
    if kind.startswith("*"):
        return struct.pack("<Q", address_of(value))
    if kind in _FORMATS:
        return struct.pack(_FORMATS[kind], value)
    if kind == "bf16":
        bits = int(np.float32(value).view(np.uint32))
        return struct.pack("<H", (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
    if kind in _INTEGER_BITS:
        size = max(_INTEGER_BITS[kind] // 8, 1)
        return (int(value) & (1 << 8 * size) - 1).to_bytes(size, "little")
    raise UnsupportedError(f"a kernel argument of Triton type {kind}")


def pack(params: Sequence[Param], encoded: Sequence[bytes]) -> bytes:
    """Place encoded arguments where the kernel's parameters lie.

    Raises
    ------
    UnsupportedError
        When the kernel does not take as many parameters: another release of Triton adds others of its own.
    """
    if len(params) != len(encoded):
        raise UnsupportedError(f"{len(encoded)} arguments for the {len(params)} parameters of Triton's kernel")
    buffer = bytearray(max((one.offset + one.size for one in params), default=0))
    for param, data in zip(params, encoded, strict=True):
        buffer[param.offset : param.offset + param.size] = data.ljust(param.size, b"\0")[: param.size]
    return bytes(buffer)
