"""Stacks for fibers, each with a guard page below, so that an overflow stops the process and corrupts nothing."""

from __future__ import annotations

import ctypes
import mmap

STACK_BYTES = 256 << 10
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_PROT_NONE = 0


class FiberStacks:
    """A row of stacks; `address` is the lowest one's, and stack `n` begins `n * STACK_BYTES` above."""

    def __init__(self, count: int) -> None:
        self._memory = mmap.mmap(-1, count * STACK_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        for number in range(count):
            if _LIBC.mprotect(self.address + number * STACK_BYTES, mmap.PAGESIZE, _PROT_NONE):
                raise OSError(ctypes.get_errno(), "cannot protect a stack's guard page")
