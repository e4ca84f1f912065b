"""A simulated card's memory: an arena in host memory whose addresses are host addresses."""

from __future__ import annotations

import bisect
import ctypes
from dataclasses import dataclass, replace

import numpy as np

from simgpu.errors import OutOfDeviceMemoryError
from simgpu.pages import give_back, reserve
from simgpu.runtime.state import PAGE_BITS, POISON
from simgpu.tags import WriteTags

ALIGNMENT = 256
_RED_ZONE = 256
"""Unused bytes behind each allocation, so that a small overrun hits no other one."""
_LARGE = 1 << 19
_POISON_LIMIT = 64 << 20
"""Larger allocations are poisoned so far only: touching all of a very large one costs real memory."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """One allocation, present or past."""

    address: int
    size: int
    label: str
    freed: bool = False

    @property
    def end(self) -> int:
        """The address behind the last byte."""
        return self.address + self.size


def _poison(address: int, nbytes: int) -> None:
    """Fill memory with the pattern by which checked kernels know what nothing has written."""
    words, rest = divmod(nbytes, 4)
    np.frombuffer(memoryview((ctypes.c_char * (4 * words)).from_address(address)), np.uint32)[:] = POISON
    ctypes.memmove(address + 4 * words, POISON.to_bytes(4, "little"), rest)


class DeviceMemory:
    """One card's memory.

    Addresses are aligned to 256 bytes. Content starts poisoned. A freed range is used again last, so that a use
    after free is recognised for long.

    Parameters
    ----------
    capacity
        Bytes of the card.

    Attributes
    ----------
    tags
        Who wrote what, for the launches that watch for races.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._arena = reserve(2 * capacity)
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(self._arena))
        self._top = -(-self._base // ALIGNMENT) * ALIGNMENT
        self._start = self._top
        self._addresses: list[int] = []
        self._allocations: list[Allocation] = []
        self._used = 0
        self.tags = WriteTags()

    @property
    def base(self) -> int:
        """The lowest address that an allocation can have."""
        return self._start

    @property
    def top(self) -> int:
        """The address behind the highest allocation ever made."""
        return self._top

    @property
    def used(self) -> int:
        """Bytes in live allocations, padding included."""
        return self._used

    def allocate(self, nbytes: int, label: str = "") -> int:
        """Reserve memory and return its address.

        Raises
        ------
        OutOfDeviceMemoryError
            When the card's capacity is used up.
        """
        if nbytes < 0:
            raise ValueError(f"cannot allocate {nbytes} bytes")
        room = _footprint(nbytes)
        if self._used + room > self.capacity:
            raise OutOfDeviceMemoryError(
                f"{nbytes} bytes asked for, {max(self.capacity - self._used, 0)} of {self.capacity} free"
            )
        fits = self._next_place(room) + room <= self._base + 2 * self.capacity
        address = self._extend(room) if fits else self._reuse(room)
        place = bisect.bisect_left(self._addresses, address)
        self._addresses.insert(place, address)
        self._allocations.insert(place, Allocation(address, nbytes, label))
        self._used += room
        _poison(address, min(nbytes, _POISON_LIMIT))
        return address

    def revive(self, nbytes: int, label: str = "") -> int | None:
        """Reserve the memory of the newest freed allocation of just this size, as an allocator with a cache does.

        Returns its address, None where there is no such allocation or no capacity for it.
        """
        room = _footprint(nbytes)
        for place, allocation in reversed(list(enumerate(self._allocations))):
            if allocation.freed and allocation.size == nbytes and self._used + room <= self.capacity:
                self._allocations[place] = Allocation(allocation.address, nbytes, label)
                self._used += room
                _poison(allocation.address, min(nbytes, _POISON_LIMIT))
                return allocation.address
        return None

    def _extend(self, room: int) -> int:
        address = self._next_place(room)
        self._top = address + room
        return address

    def _next_place(self, room: int) -> int:
        """Return where an allocation may begin; a large one shares no page with the one before it.

        Pages tell what a launch has stored to (`runtime/written_pages.ll`).
        """
        return self._top + (-(self._top - self._start) % (1 << PAGE_BITS) if room >= _LARGE else 0)

    def _reuse(self, room: int) -> int:
        """Take the first run of freed neighbours that is large enough."""
        first, run = None, 0
        for place, allocation in enumerate(self._allocations):
            if not allocation.freed:
                first, run = None, 0
                continue
            first = place if first is None else first
            run += _footprint(allocation.size)
            if run >= room:
                address = self._addresses[first]
                del self._addresses[first : place + 1]
                del self._allocations[first : place + 1]
                return address
        raise OutOfDeviceMemoryError(f"{room} bytes asked for, the free memory is in smaller pieces")

    def free(self, address: int) -> None:
        """Release an allocation.

        Raises
        ------
        ValueError
            When `address` is not the start of a live allocation.
        """
        place = self._place(address)
        allocation = self._allocations[place] if place is not None else None
        if place is None or allocation is None or allocation.address != address or allocation.freed:
            raise ValueError(f"no live allocation begins at {address:#x}")
        self._allocations[place] = replace(allocation, freed=True)
        self._used -= _footprint(allocation.size)
        if allocation.size >= _LARGE:
            # The range is used again last; the host has its memory back at once.
            give_back(self._arena, allocation.address - self._base, allocation.end - self._base)
            self.tags.forget(allocation.address - self._start, allocation.end - self._start)

    def view(self, address: int, nbytes: int) -> memoryview:
        """Return a writable view of device memory; the range must lie within the arena."""
        offset = address - self._base
        if offset < 0 or offset + nbytes > len(self._arena):
            raise ValueError(f"{nbytes} bytes at {address:#x} are not in device memory")
        return memoryview(self._arena)[offset : offset + nbytes]

    def find(self, address: int) -> Allocation | None:
        """Return the allocation, live or freed, that holds an address."""
        place = self._place(address)
        if place is None:
            return None
        allocation = self._allocations[place]
        return allocation if address < max(allocation.end, allocation.address + 1) else None

    def nearest(self, address: int) -> Allocation | None:
        """Return the allocation that lies nearest to an address, to name it in a fault."""
        place = bisect.bisect_right(self._addresses, address)
        around = self._allocations[max(place - 1, 0) : place + 1]
        return min(around, key=lambda one: min(abs(address - one.address), abs(address - one.end)), default=None)

    def live(self) -> list[Allocation]:
        """List the live allocations by address."""
        return [allocation for allocation in self._allocations if not allocation.freed]

    def _place(self, address: int) -> int | None:
        place = bisect.bisect_right(self._addresses, address) - 1
        return place if place >= 0 else None


def _footprint(nbytes: int) -> int:
    return -(-(nbytes + _RED_ZONE) // ALIGNMENT) * ALIGNMENT
