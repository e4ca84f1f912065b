"""Tags beside a card's memory: which block of the present launch wrote what (`runtime/global_shadow.ll`)."""

from __future__ import annotations

import ctypes
import mmap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simgpu.pages import give_back, reserve
from simgpu.runtime import state

_TAG_BYTES = 4
_SHIFTS = range(3)
"""A tag is for one, two or four bytes, by the kernel."""
_LAST_STAMP = 0xFFFF_FFFF
_PUBLICATIONS = 1 << 22
"""Stamps for publications in one launch; blocks that publish more often are watched no further."""
_SLACK = 1 << 12
"""Further stamps, for workers that take one at the same time."""


@dataclass(frozen=True, slots=True)
class LaunchTags:
    """The tags of one launch, and what its stamps stand for.

    `published` has the time at which each stamp was published, 0 for never; `owners` the block of each stamp from
    `later` on; those before it stand for one block each, in order.
    """

    address: int
    span: int
    shift: int
    base: int
    later: int
    limit: int
    last: NDArray[np.uint32]
    published: NDArray[np.uint32]
    owners: NDArray[np.uint32]
    pages: NDArray[np.uint8]
    page_count: NDArray[np.uint32]

    def fill(self, worker: state.Worker) -> None:
        """Tell a worker where they are."""
        worker.tags, worker.arena_span, worker.tag_shift = self.address, self.span, self.shift
        worker.pages, worker.page_count = self.pages.ctypes.data, self.page_count.ctypes.data
        worker.last_stamp = self.last.ctypes.data
        worker.published, worker.owners = self.published.ctypes.data, self.owners.ctypes.data
        worker.stamp_base, worker.stamp_later, worker.stamp_limit = (
            ctypes.c_int32(number).value for number in (self.base, self.later, self.limit)
        )


class WriteTags:
    """One card's tags: as much address space as its memory in use asks for, of which only what is written is real."""

    def __init__(self) -> None:
        self._memory = reserve(mmap.PAGESIZE)
        self._next = 1
        self._turn = threading.Lock()

    @contextmanager
    def launch(self, span: int, shift: int, blocks: int) -> Iterator[LaunchTags]:
        """Give tags to a launch, one launch at a time.

        Parameters
        ----------
        span
            Bytes of memory from the first allocation to the end of the last.
        shift
            Base-two logarithm of the bytes that share a tag.
        blocks
            Blocks of the grid.
        """
        with self._turn:
            nbytes = ((span >> shift) + 1) * _TAG_BYTES
            room = blocks + _PUBLICATIONS + _SLACK
            if nbytes > len(self._memory) or self._next + room > _LAST_STAMP:
                self._renew(nbytes)
            later = self._next + blocks
            last = np.array([later - 1], np.uint32)
            try:
                yield LaunchTags(
                    ctypes.addressof(ctypes.c_char.from_buffer(self._memory)),
                    span,
                    shift,
                    self._next,
                    later,
                    later + _PUBLICATIONS - 1,
                    last,
                    np.zeros(room, np.uint32),
                    np.zeros(_PUBLICATIONS + _SLACK, np.uint32),
                    np.zeros((span >> state.PAGE_BITS) + 2 * _TAG_BYTES, np.uint8),
                    np.zeros(1, np.uint32),
                )
            finally:
                self._next = int(last[0]) + 1

    def forget(self, start: int, stop: int) -> None:
        """Give the host the memory of a freed range's tags back; bytes count from the first allocation.

        Tags of past launches mean nothing. While a launch runs on another thread, nothing is given back.
        """
        if self._turn.acquire(blocking=False):
            try:
                for shift in _SHIFTS:
                    give_back(self._memory, (start >> shift) * _TAG_BYTES, (stop >> shift) * _TAG_BYTES)
            finally:
                self._turn.release()

    def _renew(self, nbytes: int) -> None:
        """Begin with empty tags: no launch before this one matters to it."""
        self._memory = reserve(max(2 * nbytes, len(self._memory)))
        self._next = 1
