"""An engine that executes nothing: memory is real, launches are only written down."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from simgpu import LaunchOptions
from simgpu.cudart.engine import DeviceVariable
from simgpu.errors import OutOfDeviceMemoryError
from simgpu.report import Counters, Diagnostic, Dim3, LaunchReport


@dataclass(frozen=True, slots=True)
class FakeParameter:
    """A parameter at an offset."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class FakeKernel:
    """A kernel with the given parameters."""

    params: Sequence[FakeParameter] = ()
    static_shared: int = 0
    max_threads: int | None = None

    @property
    def param_bytes(self) -> int:
        """Bytes up to the end of the last parameter."""
        return max((parameter.offset + parameter.size for parameter in self.params), default=0)


@dataclass(slots=True)
class FakeAllocation:
    """A piece of host memory that stands for the card's."""

    address: int
    size: int
    label: str
    buffer: ctypes.Array[ctypes.c_char]
    freed: bool = False


class FakeMemory:
    """Card memory made of host buffers, filled with 0xA5."""

    def __init__(self, capacity: int = 1 << 20) -> None:
        self.capacity = capacity
        self._allocations: dict[int, FakeAllocation] = {}

    def allocate(self, nbytes: int, label: str = "") -> int:
        """Return the address of a new buffer."""
        if nbytes + sum(one.size for one in self._allocations.values() if not one.freed) > self.capacity:
            raise OutOfDeviceMemoryError(f"{nbytes} bytes do not fit")
        buffer = ctypes.create_string_buffer(b"\xa5" * nbytes, nbytes)
        address = ctypes.addressof(buffer)
        self._allocations[address] = FakeAllocation(address, nbytes, label, buffer)
        return address

    def free(self, address: int) -> None:
        """Mark a buffer as freed; it is kept, so that its address is not given out again."""
        self._allocations[address].freed = True

    def find(self, address: int) -> FakeAllocation | None:
        """Return the buffer that holds an address."""
        for allocation in self._allocations.values():
            if allocation.address <= address < allocation.address + allocation.size:
                return allocation
        return None


@dataclass(frozen=True, slots=True)
class FakeLaunch:
    """A launch as the engine was asked for it."""

    kernel: str
    grid: Dim3
    block: Dim3
    params: bytes
    dynamic_shared: int


@dataclass(slots=True)
class FakeModule:
    """Kernels and variables by name; launches are written down, and report the given faults and counters."""

    kernels: dict[str, FakeKernel]
    variable_sizes: Mapping[str, int] = field(default_factory=dict)
    variables: dict[str, DeviceVariable] = field(default_factory=dict)
    """Filled when the engine loads the module."""
    diagnostics: tuple[Diagnostic, ...] = ()
    """Faults of the launches to come."""
    counters: Counters | None = None
    """Counters of the launches to come."""
    launched: list[FakeLaunch] = field(default_factory=list)

    def launch(
        self, kernel: str, *, grid: Dim3, block: Dim3, params: bytes, dynamic_shared: int, options: LaunchOptions
    ) -> LaunchReport:
        """Write the launch down."""
        self.launched.append(FakeLaunch(kernel, grid, block, params, dynamic_shared))
        return LaunchReport(
            kernel=kernel,
            grid=grid,
            block=block,
            dynamic_shared=dynamic_shared,
            diagnostics=self.diagnostics,
            counters=self.counters if options.counters else None,
            blocks_run=math.prod(grid),
            seconds=0.0,
        )


@dataclass(frozen=True, slots=True)
class FakeEngine:
    """Gives one module for every PTX text."""

    module: FakeModule
    memory: FakeMemory

    def load(self, ptx: str) -> FakeModule:
        """Return the module, its variables placed in memory."""
        del ptx
        for name, size in self.module.variable_sizes.items():
            self.module.variables[name] = DeviceVariable(self.memory.allocate(size, name), size)
        return self.module
