"""Reads the device code out of the fat binaries that nvcc embeds in a host object.

A host object registers a wrapper (`fatbinary_section.h`) that points at a container: a header, then entries, each PTX
text or a cubin for one architecture. The container's layout is not documented; what is read here is the part that
tools which list fat binaries agree on, and it is checked against nvcc's own output in the tests.
"""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass
from enum import IntEnum

from simgpu.cudart.errors import CudaCode, CudaError

_WRAPPER = struct.Struct("<IIQQ")
_WRAPPER_MAGIC = 0x466243B1
_CONTAINER = struct.Struct("<IHHQ")
_CONTAINER_MAGIC = 0xBA55ED50
_ENTRY = struct.Struct("<HHIQIIHHIIIQQQ")
_COMPRESSED_FLAGS = 0x2000 | 0x8000
"""LZ4, and zstd since CUDA 12.8."""


class EntryKind(IntEnum):
    """What an entry of a fat binary holds."""

    PTX = 1
    CUBIN = 2


@dataclass(frozen=True, slots=True)
class FatBinaryEntry:
    """One piece of device code."""

    kind: int
    """An `EntryKind`, or a number that is none and is ignored."""
    arch: int
    """Compute capability times ten: 90 for `sm_90` and `compute_90`."""
    compressed: bool
    payload: bytes
    """PTX text or ELF file, as stored."""

    @property
    def text(self) -> str:
        """The PTX of a PTX entry.

        Raises
        ------
        CudaError
            The entry is compressed.
        """
        if self.compressed:
            raise CudaError(
                CudaCode.INVALID_KERNEL_IMAGE,
                "the PTX in the fat binary is compressed; build with nvcc --no-compress",
            )
        return self.payload.rstrip(b"\0").decode()


def parse_container(data: bytes) -> tuple[FatBinaryEntry, ...]:
    """Split a fat binary container into its entries.

    Raises
    ------
    CudaError
        `data` is not a whole fat binary container.
    """
    try:
        magic, _, header_bytes, body_bytes = _CONTAINER.unpack_from(data)
        if magic != _CONTAINER_MAGIC:
            raise CudaError(CudaCode.INVALID_KERNEL_IMAGE, f"not a fat binary: it starts with {magic:#x}")
        entries = []
        offset, end = header_bytes, header_bytes + body_bytes
        while offset < end:
            kind, _, entry_header, payload_bytes, stored, _, _, _, arch, _, _, flags, _, _ = _ENTRY.unpack_from(
                data, offset
            )
            start, following = offset + entry_header, offset + entry_header + payload_bytes
            if following > len(data) or following <= offset:
                raise CudaError(CudaCode.INVALID_KERNEL_IMAGE, "the fat binary is cut short")
            compressed = bool(flags & _COMPRESSED_FLAGS)
            payload = data[start : start + stored] if compressed else data[start:following]
            entries.append(FatBinaryEntry(kind=kind, arch=arch, compressed=compressed, payload=payload))
            offset = following
    except struct.error as error:
        raise CudaError(CudaCode.INVALID_KERNEL_IMAGE, f"the fat binary is cut short: {error}") from None
    return tuple(entries)


def read_registered(wrapper: int) -> tuple[FatBinaryEntry, ...]:
    """Read the fat binary that a loaded library registered, from this process's memory.

    Parameters
    ----------
    wrapper
        Address that `__cudaRegisterFatBinary` was given.
    """
    magic, _, container, _ = _WRAPPER.unpack(ctypes.string_at(wrapper, _WRAPPER.size))
    if magic != _WRAPPER_MAGIC:
        raise CudaError(CudaCode.INVALID_KERNEL_IMAGE, f"not a fat binary wrapper: it starts with {magic:#x}")
    _, _, header_bytes, body_bytes = _CONTAINER.unpack(ctypes.string_at(container, _CONTAINER.size))
    return parse_container(ctypes.string_at(container, header_bytes + body_bytes))


def select_ptx(entries: tuple[FatBinaryEntry, ...], capability: int) -> str | None:
    """Return the PTX for the newest architecture that a card of `capability` (90 for `sm_90`) runs, or None."""
    usable = [entry for entry in entries if entry.kind == EntryKind.PTX and entry.arch <= capability]
    return max(usable, key=lambda entry: entry.arch).text if usable else None


def select_cubin(entries: tuple[FatBinaryEntry, ...], capability: int) -> bytes | None:
    """Return the uncompressed machine code that a card of `capability` would run, or None."""
    usable = [
        entry
        for entry in entries
        if entry.kind == EntryKind.CUBIN
        and not entry.compressed
        # Machine code runs on its own major capability, from its minor one up.
        and entry.arch // 10 == capability // 10
        and entry.arch <= capability
    ]
    return max(usable, key=lambda entry: entry.arch).payload if usable else None
