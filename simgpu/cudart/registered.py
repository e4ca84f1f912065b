"""Host memory that a program registers (`cudaHostRegister`) so that kernels reach it.

Compiled kernels reach the card's memory only, so each registered range that a program asks a device pointer for gets a
mirror there. It is filled before each launch and read back after it; launches end before they return, so the program
sees no difference, except that a kernel must be given the device pointer and not the host's.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from simgpu.cudart.engine import CardMemory
from simgpu.cudart.errors import CudaCode, CudaError


@dataclass(slots=True)
class _Range:
    size: int
    mirror: int | None = None


class RegisteredMemory:
    """The registered ranges of one program.

    Parameters
    ----------
    memory
        The card's memory, where mirrors lie.
    """

    def __init__(self, memory: CardMemory) -> None:
        self._memory = memory
        self._ranges: dict[int, _Range] = {}

    def add(self, address: int, nbytes: int) -> None:
        """Register a range; one that overlaps another is refused."""
        if any(address < start + one.size and start < address + nbytes for start, one in self._ranges.items()):
            raise CudaError(CudaCode.HOST_MEMORY_ALREADY_REGISTERED, f"{address:#x} is registered already")
        self._ranges[address] = _Range(nbytes)

    def remove(self, address: int) -> None:
        """Forget a range by its first address."""
        found = self._ranges.pop(address, None)
        if found is None:
            raise CudaError(CudaCode.HOST_MEMORY_NOT_REGISTERED, f"{address:#x} is not registered")
        if found.mirror is not None:
            self._memory.free(found.mirror)

    def device_pointer(self, address: int) -> int | None:
        """Return where kernels find an address, None when it is not registered."""
        for start, one in self._ranges.items():
            if start <= address < start + one.size:
                if one.mirror is None:
                    one.mirror = self._memory.allocate(one.size, "cudaHostRegister")
                return one.mirror + address - start
        return None

    def to_device(self) -> None:
        """Bring the mirrors up to date, before a launch."""
        for start, one in self._ranges.items():
            if one.mirror is not None:
                ctypes.memmove(one.mirror, start, one.size)

    def to_host(self) -> None:
        """Bring the host's ranges up to date, after a launch."""
        for start, one in self._ranges.items():
            if one.mirror is not None:
                ctypes.memmove(start, one.mirror, one.size)

    def clear(self) -> None:
        """Forget everything."""
        for start in tuple(self._ranges):
            self.remove(start)
