"""The seam between the CUDA runtime's semantics and what executes kernels.

`simgpu.cudart.simulator` is the simulator's own engine; `simgpu.cudart.fake` ships one that executes nothing, for
tests of the host side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from simgpu import LaunchOptions
from simgpu.report import Dim3, LaunchReport


class Parameter(Protocol):
    """One parameter of a kernel, by its place in the parameter buffer."""

    @property
    def offset(self) -> int:
        """Bytes from the start of the buffer."""

    @property
    def size(self) -> int:
        """Bytes."""


class KernelImage(Protocol):
    """A kernel as its PTX declares it."""

    @property
    def params(self) -> Sequence[Parameter]:
        """Parameters in order."""

    @property
    def param_bytes(self) -> int:
        """Bytes of the whole parameter buffer."""

    @property
    def static_shared(self) -> int:
        """Bytes of shared memory that the kernel declares."""

    @property
    def max_threads(self) -> int | None:
        """Most threads per block by its launch bounds, None without."""


@dataclass(frozen=True, slots=True)
class DeviceVariable:
    """A variable in device or constant memory, placed."""

    address: int
    size: int
    """Bytes."""


class AllocationImage(Protocol):
    """A live or freed piece of a card's memory."""

    @property
    def address(self) -> int:
        """First byte."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def label(self) -> str:
        """Who asked for it, for instance `cudaMalloc`."""

    @property
    def freed(self) -> bool:
        """Whether it was freed."""


class CardMemory(Protocol):
    """A card's memory; its addresses are addresses of this process."""

    @property
    def capacity(self) -> int:
        """Bytes of the whole card."""

    def allocate(self, nbytes: int, label: str = "") -> int:
        """Return the address of a new allocation, or raise `OutOfDeviceMemoryError`."""

    def free(self, address: int) -> None:
        """Free an allocation by its first address."""

    def find(self, address: int) -> AllocationImage | None:
        """Return the allocation that an address lies in."""


class ModuleImage(Protocol):
    """Device code loaded onto a card."""

    @property
    def kernels(self) -> Mapping[str, KernelImage]:
        """Kernels by mangled name."""

    @property
    def variables(self) -> Mapping[str, DeviceVariable]:
        """Variables by mangled name."""

    def launch(
        self, kernel: str, *, grid: Dim3, block: Dim3, params: bytes, dynamic_shared: int, options: LaunchOptions
    ) -> LaunchReport:
        """Run one kernel to its end."""


class Engine(Protocol):
    """What executes kernels on one card."""

    def load(self, ptx: str) -> ModuleImage:
        """Load PTX onto the card, its variables placed in the card's memory."""
