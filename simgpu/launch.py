"""Launch a kernel: check the request, run its blocks on host threads, report."""

from __future__ import annotations

import os
import random
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray

from simgpu.codegen.program import Variant
from simgpu.counting import Totals, collect, count_lines
from simgpu.diagnose import FaultContext, diagnose
from simgpu.errors import LaunchRefusedError
from simgpu.memory import DeviceMemory
from simgpu.module import CompiledKernel, Kernel, Module
from simgpu.occupancy import occupancy
from simgpu.report import Dim3, LaunchReport, LineCounters
from simgpu.runtime import state
from simgpu.runtime.stacks import FiberStacks, StackSource
from simgpu.specs import device_spec
from simgpu.tags import LaunchTags
from simgpu.workers import WorkerMemory, Workers

_MAX_THREADS = 1024
_MAX_BLOCK = (1024, 1024, 64)
_MAX_GRID = (2**31 - 1, 65535, 65535)
_MAX_SHARED = 227 << 10
_USUAL_CARD = "h100"
"""Tells how many blocks are under way at once where a launch does not say."""


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """How to run a launch.

    Attributes
    ----------
    checks
        Test the bounds and alignment of every access; without them a faulty kernel may crash the process.
    counters
        Count events, at some cost in speed.
    schedule_seed
        Run blocks and warps in an order drawn from this seed; None for ascending order.
    sample_blocks
        Run only so many evenly spaced blocks and scale the counters; outputs are then incomplete.
    instruction_budget
        Warp instructions that one warp may execute before the launch is stopped as a runaway.
    threads
        Host threads that run blocks; each core has one by default.
    resident_blocks
        Most blocks under way at once where blocks wait for each other, as many as the card holds; None: as many as an
        H100 holds, registers left out.
    """

    checks: bool = True
    counters: bool = False
    schedule_seed: int | None = None
    sample_blocks: int | None = None
    instruction_budget: int = 1_000_000_000
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    resident_blocks: int | None = None


def launch(
    module: Module,
    kernel_name: str,
    *,
    grid: Dim3,
    block: Dim3,
    params: bytes,
    dynamic_shared: int,
    memory: DeviceMemory,
    options: LaunchOptions,
    stacks: StackSource = FiberStacks,
) -> LaunchReport:
    """Run a kernel to its end and report what happened.

    Warps that wait have stacks of their own, which `stacks` makes.

    Raises
    ------
    LaunchRefusedError
        When a real card would refuse the launch.
    UnsupportedError
        When the kernel uses something that simgpu lacks.
    OutOfHostMemoryError
        Blocks that wait for others could not all be under way for want of this machine's memory.
    """
    request = _Request(grid, block, params, dynamic_shared)
    kernel = _admit(module, kernel_name, request)
    addresses = module.bind(memory)
    compiled = kernel.compile(Variant(block, options.checks, options.counters))
    variables = [addresses[name] for name in compiled.program.pointers]
    return _Run(kernel, compiled, request, memory, options, variables, stacks).execute()


@dataclass(frozen=True, slots=True)
class _Request:
    """The size and the arguments of a launch."""

    grid: Dim3
    block: Dim3
    params: bytes
    dynamic_shared: int

    @property
    def warps(self) -> int:
        """Warps of a block."""
        return -(-prod(self.block) // 32)


def _admit(module: Module, kernel_name: str, request: _Request) -> Kernel:
    """Refuse what a real card refuses."""
    grid, block, dynamic_shared = request.grid, request.block, request.dynamic_shared
    kernel = module.kernels.get(kernel_name)
    if kernel is None:
        raise LaunchRefusedError("cudaErrorInvalidDeviceFunction", f"the module has no kernel {kernel_name}")
    if min(block) < 1 or prod(block) > _MAX_THREADS or any(map(int.__gt__, block, _MAX_BLOCK)):
        raise LaunchRefusedError("cudaErrorInvalidConfiguration", f"a block of {block} threads")
    if min(grid) < 1 or any(map(int.__gt__, grid, _MAX_GRID)):
        raise LaunchRefusedError("cudaErrorInvalidConfiguration", f"a grid of {grid} blocks")
    if kernel.max_threads is not None and prod(block) > kernel.max_threads:
        raise LaunchRefusedError(
            "cudaErrorInvalidValue", f"{prod(block)} threads where {kernel_name} allows {kernel.max_threads}"
        )
    if dynamic_shared < 0 or kernel.static_shared + dynamic_shared > _MAX_SHARED:
        raise LaunchRefusedError(
            "cudaErrorInvalidValue", f"{kernel.static_shared + dynamic_shared} bytes of shared memory"
        )
    if len(request.params) < kernel.param_bytes:
        raise LaunchRefusedError(
            "cudaErrorInvalidValue",
            f"{len(request.params)} bytes of parameters where {kernel_name} takes {kernel.param_bytes}",
        )
    return kernel


class _Run:
    """One launch in progress: the buffers that its workers share."""

    def __init__(  # noqa: PLR0917 - the parts of one launch, called once
        self,
        kernel: Kernel,
        compiled: CompiledKernel,
        request: _Request,
        memory: DeviceMemory,
        options: LaunchOptions,
        variables: list[int],
        stacks: StackSource,
    ) -> None:
        self._kernel, self._compiled, self._request = kernel, compiled, request
        self._memory, self._options, self._stacks = memory, options, stacks
        self._params = np.frombuffer(request.params.ljust(16, b"\0") + bytes(16), dtype=np.uint8).copy()
        self._shared_size = compiled.program.static_shared + request.dynamic_shared
        self._table = self._intervals()
        self._next = np.zeros(1, np.int64)
        self._abort = np.zeros(1, np.int32)
        self._globals = np.array([*variables, 0], np.uint64)
        self._chosen = self._choose_blocks()
        self._warp_order = self._order_warps()
        self._tags: LaunchTags | None = None
        self._totals = Totals(compiled.program, memory) if options.counters else None

    def _intervals(self) -> NDArray[np.uint64]:
        """Return the live allocations and the parameter buffer as sorted [start, end) pairs."""
        pairs = [(one.address, one.end) for one in self._memory.live() if one.size]
        start = self._params.ctypes.data
        pairs.append((start, start + len(self._params)))
        return np.array(sorted(pairs), np.uint64)

    def _choose_blocks(self) -> NDArray[np.int64] | None:
        total = prod(self._request.grid)
        seed, sample = self._options.schedule_seed, self._options.sample_blocks
        if sample is not None and sample < total:
            chosen = (np.arange(max(sample, 1), dtype=np.int64) * total) // max(sample, 1)
        elif seed is not None:
            chosen = np.arange(total, dtype=np.int64)
        else:
            return None
        return np.random.default_rng(seed).permutation(chosen) if seed is not None else chosen

    def _order_warps(self) -> NDArray[np.int32]:
        order = list(range(self._request.warps))
        if self._options.schedule_seed is not None:
            random.Random(self._options.schedule_seed).shuffle(order)  # noqa: S311 - a schedule, not a secret
        return np.array(order, np.int32)

    def execute(self) -> LaunchReport:
        """Run all workers and build the report."""
        with ExitStack() as stack:
            shift = self._compiled.program.global_shift
            if self._options.checks and shift is not None:
                span = self._memory.top - self._memory.base
                self._tags = stack.enter_context(self._memory.tags.launch(span, shift, prod(self._request.grid)))
            return self._execute()

    def _execute(self) -> LaunchReport:
        total = prod(self._request.grid) if self._chosen is None else len(self._chosen)
        resident = self._options.resident_blocks or self._usual_residency()
        crew = Workers(
            lambda: WorkerMemory(self._fill, self._compiled, self._request.warps, self._shared_size, self._stacks),
            threads=max(1, min(self._options.threads, total)),
            most=min(resident, total),
            spins=self._compiled.program.spins,
        )
        start = time.perf_counter()
        crew.run()
        seconds = time.perf_counter() - start
        workers = crew.all
        states = [worker.state for worker in workers]
        counters = None
        lines: tuple[LineCounters, ...] = ()
        if self._totals is not None:
            grid = prod(self._request.grid)
            counters = collect(self._totals, workers, run=total, grid=grid)
            lines = count_lines(self._totals, workers, run=total, grid=grid)
        return LaunchReport(
            self._kernel.name,
            self._request.grid,
            self._request.block,
            self._request.dynamic_shared,
            diagnose(
                FaultContext(self._kernel.name, self._compiled.program, self._memory, self._shared_size, resident),
                states,
            ),
            counters,
            sum(int(one.blocks_run) for one in states),
            seconds,
            "".join(worker.printed(self._memory) for worker in workers),
            lines=lines,
        )

    def _usual_residency(self) -> int:
        card = device_spec(_USUAL_CARD)
        return occupancy(card, prod(self._request.block), 0, self._shared_size).blocks_per_sm * card.sms

    def _fill(self, worker: state.Worker) -> None:
        """Set the fields that all workers share."""
        worker.entry = self._compiled.entry
        worker.params = self._params.ctypes.data
        worker.block_list = 0 if self._chosen is None else self._chosen.ctypes.data
        worker.next_block = self._next.ctypes.data
        worker.blocks = prod(self._request.grid) if self._chosen is None else len(self._chosen)
        worker.warp_order = self._warp_order.ctypes.data
        worker.abort = self._abort.ctypes.data
        worker.table, worker.table_size = self._table.ctypes.data, len(self._table)
        worker.globals = self._globals.ctypes.data
        worker.shared_size = self._shared_size
        worker.budget = self._options.instruction_budget
        worker.grid[:], worker.block[:] = self._request.grid, self._request.block
        worker.warps, worker.threads = self._request.warps, prod(self._request.block)
        worker.dynamic_shared = self._request.dynamic_shared
        worker.sampled = int(self._options.sample_blocks is not None)
        worker.arena = self._memory.base
        if self._tags is not None:
            self._tags.fill(worker)
        if self._totals is not None:
            self._totals.fill(worker)
