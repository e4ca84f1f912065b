"""What runs blocks: a worker for each host thread, and further ones where blocks wait for each other."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simgpu.errors import OutOfHostMemoryError
from simgpu.memory import DeviceMemory
from simgpu.module import CompiledKernel
from simgpu.printing import printed_text
from simgpu.runtime import state
from simgpu.runtime.engine import load_runtime
from simgpu.runtime.stacks import STACK_BYTES, StackSource

SHADOW_SLACK = 64
"""Cells behind the last one of shared memory's shadow, since vectors of cells may reach past it."""
_MARGIN = 128
"""Bytes that keep the data of two threads out of one cache line, and of its neighbour."""
_MOST_THREADS = 1 << 16
"""Never reached: all threads of a launch must run at once, since those that wait for each other count them."""
_FURTHER = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)


class WorkerMemory:
    """One worker's state and the buffers that only it uses."""

    def __init__(
        self,
        fill: Callable[[state.Worker], None],
        compiled: CompiledKernel,
        warps: int,
        shared_size: int,
        stacks: StackSource,
    ) -> None:
        program = compiled.program
        self.state = state.Worker()
        fill(self.state)
        self._stacks = stacks(warps if compiled.suspends else 1)
        self._shared = np.empty(shared_size + 2 * _MARGIN + 256, np.uint8)[_MARGIN:]
        self._local = np.empty(max(program.local_bytes, 1) * 32 * warps + 64 + state.PRINT_RECORD, np.uint8)
        self._cache = _apart((len(program.sites) + 1, 2), np.uint64)
        self._cache[:, 0] = 2**64 - 1
        self.block_counts = _apart((len(program.counted) + 1, 2), np.int64)
        self.events = np.zeros((len(program.sites) + 1, len(state.EVENT_FIELDS)), np.int64)
        own = self.state
        own.stacks, own.stack_size = self._stacks.address, STACK_BYTES
        own.shared, own.local = _aligned(self._shared, 128), _aligned(self._local, 64)
        own.local_size = program.local_bytes
        own.local_fill = program.local_bytes * 32 * warps if program.variant.checks else 0
        own.cache = self._cache.ctypes.data
        self._site_marks = _apart((len(program.sites) + 1, 2), np.uint64)
        own.site_marks = self._site_marks.ctypes.data
        own.block_counts, own.events = self.block_counts.ctypes.data, self.events.ctypes.data
        own.suspends = int(compiled.suspends)
        cells = shared_size >> program.shared_shift
        self._shadow = _apart((2, cells + SHADOW_SLACK), np.uint16)
        own.shadow_writers, own.shadow_readers = self._shadow[0].ctypes.data, self._shadow[1].ctypes.data
        own.shadow_cells, own.shadow_shift = cells, program.shared_shift
        own.reserved, own.reserved_bytes = program.reserved_shared
        watched = program.copies and program.variant.checks
        self._copies = np.zeros(warps * state.COPY_RING_BYTES if watched else 0, np.uint8)
        own.copies = self._copies.ctypes.data if watched else 0
        logged = state.READ_LOG * ctypes.sizeof(state.LoggedRead) if program.variant.checks else 0
        self._reads = np.empty(logged, np.uint8)
        own.read_log = self._reads.ctypes.data
        self._printed = np.zeros(state.PRINT_BUFFER if program.prints else 0, np.uint8)
        own.print_buffer, own.print_size = self._printed.ctypes.data, len(self._printed)
        self.address = ctypes.addressof(own)

    def printed(self, memory: DeviceMemory) -> str:
        """Return what the worker's kernels printed."""
        return printed_text(self._printed[: self.state.print_used].tobytes(), memory)


class Workers:
    """The workers of one launch (`runtime/scheduler.ll`, `runtime/waiting.ll`).

    Parameters
    ----------
    make
        Makes a worker.
    threads
        Host threads.
    most
        Workers, and so blocks under way, that there may be; more than `threads` are made only when all spin.
    spins
        Whether the kernel has loops that wait for other threads.
    """

    def __init__(self, make: Callable[[], WorkerMemory], *, threads: int, most: int, spins: bool) -> None:
        self._make, self._most = make, most
        self._lock = threading.Lock()
        self._further = _FURTHER(self._add)
        self._failure: BaseException | None = None
        self._idle = np.zeros((threads + 1, threads + 1), np.uint64)
        self._spins = spins
        self.all = [self._joined(number, threads) for number in range(threads)]

    def _joined(self, thread: int, threads: int) -> WorkerMemory:
        worker = self._make()
        own = worker.state
        own.ring = worker.address
        own.host_thread, own.host_threads = thread, threads
        if self._spins:
            # Not by `cast`, which makes its argument refer to itself and so keeps it from being freed at once.
            own.further = ctypes.c_void_p.from_buffer(self._further).value or 0
            own.idle = self._idle.ctypes.data
        return worker

    def _add(self, _asking: int) -> int | None:
        """Make a further worker and return its address; None when the card or this machine holds no more."""
        with self._lock:
            if self._failure is not None or len(self.all) >= self._most:
                return None
            try:
                worker = self._joined(0, len(self._idle) - 1)
            except BaseException as error:  # noqa: BLE001 - nothing can be raised through machine code; `run` does it
                self._failure = error
                return None
            self.all.append(worker)
            return worker.address

    def run(self) -> None:
        """Run all blocks.

        Raises
        ------
        OutOfHostMemoryError
            Blocks that wait for others could not all be under way for want of this machine's memory.
        """
        try:
            self._run()
        finally:
            # The callback refers to its owner: without this the stacks would wait for the collector of cycles.
            del self._further
        starved = any(worker.state.fault_kind == state.FAULT_STARVED for worker in self.all)
        if isinstance(self._failure, MemoryError | OSError) and starved:
            raise OutOfHostMemoryError(
                f"blocks of this launch wait for each other, and this machine had memory for {len(self.all)} of"
                f" {self._most} at once ({self._failure or 'out of memory'})"
            ) from self._failure
        if self._failure is not None and not isinstance(self._failure, MemoryError | OSError):
            raise self._failure

    def _run(self) -> None:
        run = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(load_runtime().address("sgpu_run"))
        first, *others = list(self.all)
        begun = [_host_threads(os.getpid()).submit(run, worker.address) for worker in others]
        run(first.address)
        for one in begun:
            # A thread that has not come to it by now is not needed: all blocks have run.
            if not one.cancel():
                one.result()


@lru_cache(maxsize=1)
def _host_threads(process: int) -> ThreadPoolExecutor:
    """Return this process' threads for blocks, as many as launches ask for; a fork has none of its parent's."""
    return ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix=f"simgpu-{process}")


def _apart(shape: tuple[int, ...], kind: type[np.generic]) -> NDArray[Any]:
    """Return zeros that share no cache line with what another thread uses."""
    count, margin = prod(shape), _MARGIN // np.dtype(kind).itemsize
    return np.zeros(count + 2 * margin, kind)[margin : margin + count].reshape(shape)


def _aligned(buffer: NDArray[np.uint8], align: int) -> int:
    return -(-buffer.ctypes.data // align) * align
