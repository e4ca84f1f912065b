"""The simulator as the engine of the CUDA runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simgpu import DeviceMemory, Kernel, LaunchOptions, Module, launch, load_module
from simgpu.cudart.engine import CardMemory, DeviceVariable
from simgpu.report import Dim3, LaunchReport

_WORKSPACE_BYTES = 64
"""Of a grid's barrier: its size and a counter (`cooperative_groups/details/driver_abi.h`)."""


@dataclass(frozen=True, slots=True)
class SimulatedModule:
    """A module on a simulated card."""

    module: Module
    memory: DeviceMemory
    variables: Mapping[str, DeviceVariable]
    """Variables by mangled name."""

    @property
    def kernels(self) -> Mapping[str, Kernel]:
        """Kernels by mangled name."""
        return self.module.kernels

    def launch(
        self, kernel: str, *, grid: Dim3, block: Dim3, params: bytes, dynamic_shared: int, options: LaunchOptions
    ) -> LaunchReport:
        """Run one kernel to its end."""
        return launch(
            self.module,
            kernel,
            grid=grid,
            block=block,
            params=params,
            dynamic_shared=dynamic_shared,
            memory=self.memory,
            options=options,
        )


@dataclass(frozen=True, slots=True)
class SimgpuEngine:
    """Executes PTX against one simulated memory."""

    memory: DeviceMemory

    def load(self, ptx: str) -> SimulatedModule:
        """Load PTX, its variables placed in the memory."""
        module = load_module(self._with_workspace(ptx))
        variables = {
            name: DeviceVariable(address, module.globals[name].size)
            for name, address in module.bind(self.memory).items()
        }
        return SimulatedModule(module, self.memory, variables)

    def _with_workspace(self, ptx: str) -> str:
        """Give code that synchronises whole grids its workspace, whose address it reads from two driver registers."""
        if "%envreg1" not in ptx:
            return ptx
        address = self.memory.allocate(_WORKSPACE_BYTES, "workspace of grid barriers")
        self.memory.view(address, _WORKSPACE_BYTES)[:] = _WORKSPACE_BYTES.to_bytes(4, "little").ljust(
            _WORKSPACE_BYTES, b"\0"
        )
        return ptx.replace("%envreg1", str(address >> 32)).replace("%envreg2", str(address & 0xFFFFFFFF))


def simulator_on(memory: CardMemory) -> SimgpuEngine:
    """Return the engine that executes against `memory`.

    Raises
    ------
    TypeError
        It is not a `DeviceMemory`: another memory needs an engine of its own.
    """
    if not isinstance(memory, DeviceMemory):
        raise TypeError(f"the simulator executes against a DeviceMemory, not a {type(memory).__name__}")
    return SimgpuEngine(memory)
