"""Address space that becomes memory of the host page by page, as it is used, and can be given back."""

from __future__ import annotations

import mmap

_NORESERVE = 0x4000
"""Of Linux' mmap(2): no swap space is set aside. Python's `mmap` names it from 3.13 on."""


def reserve(nbytes: int) -> mmap.mmap:
    """Return so many bytes of private address space, which read as zeros; what is not touched costs nothing."""
    return mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE)


def give_back(memory: mmap.mmap, start: int, stop: int) -> None:
    """Give the host the whole pages from byte `start` to `stop` back; they read as zeros then."""
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    length = min(stop, len(memory)) // mmap.PAGESIZE * mmap.PAGESIZE - first
    if length > 0 and hasattr(mmap, "MADV_DONTNEED"):
        memory.madvise(mmap.MADV_DONTNEED, first, length)
