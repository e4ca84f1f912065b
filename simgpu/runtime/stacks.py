"""Stacks for fibers, each with a guard page below, so that an overflow stops the process and corrupts nothing."""

from __future__ import annotations

import ctypes
import errno
import mmap
from typing import Protocol
from weakref import WeakSet

from simgpu.pages import reserve

STACK_BYTES = 8 << 20
"""Address space of one stack, of which only what is used becomes memory. A register is 128 bytes here or 256, so the
frame of a kernel with two thousand of them alive takes half a megabyte."""
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_PROT_NONE = 0


class FiberStacks:
    """A row of stacks; `address` is the lowest one's, and stack `n` begins `n * STACK_BYTES` above."""

    def __init__(self, count: int) -> None:
        self._memory = reserve(count * STACK_BYTES)
        if hasattr(mmap, "MADV_NOHUGEPAGE"):  # the first page in use would otherwise cost two megabytes
            self._memory.madvise(mmap.MADV_NOHUGEPAGE)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        for number in range(count):
            if _LIBC.mprotect(self.address + number * STACK_BYTES, mmap.PAGESIZE, _PROT_NONE):
                raise OSError(ctypes.get_errno(), "cannot protect a stack's guard page")


class StackSource(Protocol):
    """Makes rows of stacks: `FiberStacks` itself, or a supply that runs out."""

    def __call__(self, count: int) -> FiberStacks:
        """Return a row of `count` stacks.

        Raises
        ------
        OSError
            This machine has no memory for them.
        """
        ...


class ScarceStacks:
    """A machine that has memory for so many rows of stacks at once, and tells how many are in use."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._given: WeakSet[FiberStacks] = WeakSet()

    @property
    def in_use(self) -> int:
        """Rows that have been given out and not been freed."""
        return len(self._given)

    def __call__(self, count: int) -> FiberStacks:
        """Return a row of stacks, if there is one left."""
        if self.in_use >= self._rows:
            raise OSError(errno.ENOMEM, f"no memory for more than {self._rows} rows of stacks")
        row = FiberStacks(count)
        self._given.add(row)
        return row
