"""Triton's driver for the simulated GPU."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import torch
import triton
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.backends.driver import DriverBase
from triton.runtime.jit import TensorWrapper

from simgpu import DeviceMemory, LaunchOptions, LaunchRefusedError, Module, UnsupportedError, load_module
from simgpu.specs import WARP_SIZE, device_spec, known_devices
from simgpu.triton.arguments import encode, flatten, pack
from simgpu.triton.binary import keep_ptx, registers_of
from simgpu.triton.card import TritonCard
from simgpu.triton.staging import Staging

_FIRST_ORDINAL = 256
"""Triton keeps compiled kernels by device number; no real card has such a number."""
_HOPPER = 90


@dataclass(frozen=True, slots=True)
class LoadedKernel:
    """A kernel on the card, as Triton holds it between launches."""

    module: Module
    name: str
    registers: int


class DriverFunctions:
    """The functions that Triton expects of a driver's native part."""

    def __init__(self, card: TritonCard) -> None:
        self._card = card

    def load_binary(
        self, name: str, binary: bytes, _shared: int, _device: int
    ) -> tuple[LoadedKernel, LoadedKernel, int, int, int]:
        """Load PTX; return module, function, registers, spilled bytes and the most threads of a block."""
        text = binary.decode()
        loaded = LoadedKernel(load_module(text), name, registers_of(text))
        return loaded, loaded, loaded.registers, 0, self._card.spec.max_threads_per_block

    def unload_module(self, _module: LoadedKernel) -> None:
        """Nothing to release: machine code goes with its module."""

    def get_device_properties(self, _device: int) -> dict[str, int]:
        """Return what Triton asks of a card."""
        spec = self._card.spec
        return {
            "max_shared_mem": spec.shared_per_block_optin,
            "max_num_regs": spec.registers_per_sm,
            "multiprocessor_count": spec.sms,
            "warpSize": WARP_SIZE,
            "sm_clock_rate": spec.boost_mhz * 1000,
            "mem_clock_rate": spec.memory_mhz * 1000,
            "mem_bus_width": spec.memory_bus_bits,
        }


class Launcher:
    """Launches one compiled kernel on the card that is active then."""

    def __init__(self, source: Any, metadata: Any) -> None:  # noqa: ANN401 - Triton's classes are untyped
        if metadata.num_ctas > 1:
            raise UnsupportedError(f"num_ctas={metadata.num_ctas}: simgpu has no thread block clusters")
        self._types = tuple(source.signature.values())
        self._names = tuple(source.signature)
        self._metadata = metadata

    def __call__(self, *request: Any) -> None:  # noqa: ANN401 - Triton's calling convention
        """Run a launch; Triton passes grid, stream, function, metadata and hooks, then the arguments."""
        grid, function = request[0:3], request[4]
        launch_metadata, on_enter, on_exit = request[6:9]
        if on_enter is not None:
            on_enter(launch_metadata)
        if prod(grid) > 0:
            driver = triton.runtime.driver.active
            if not isinstance(driver, SimulatedDriver):
                raise LaunchRefusedError(
                    "cudaErrorInvalidDevice", "a kernel of the simulated GPU, which is not installed"
                )
            self._launch(driver.card, function, grid, request[9:])
        if on_exit is not None:
            on_exit(launch_metadata)

    def _launch(
        self, card: TritonCard, function: LoadedKernel, grid: tuple[int, int, int], values: Sequence[Any]
    ) -> None:
        metadata = self._metadata
        staging = Staging(card.memory, in_place=not card.copies, host_tensors=card.host_tensors)
        try:
            encoded = [
                encode(one, partial(staging.address, label=name))
                for name, kind, value in zip(self._names, self._types, values, strict=True)
                for one in flatten((kind,), (_unwrapped(value),))
            ]
            encoded += [self._scratch(staging, grid, which).to_bytes(8, "little") for which in ("global", "profile")]
            card.launch(
                function.module,
                function.name,
                grid=grid,
                block=(WARP_SIZE * metadata.num_warps, 1, 1),
                params=pack(function.module.kernels[function.name].params, encoded),
                shared=metadata.shared,
                registers=function.registers,
            )
        finally:
            staging.finish()

    def _scratch(self, staging: Staging, grid: tuple[int, int, int], which: str) -> int:
        """Return the address of the workspace that Triton's compiler asked for: one piece for each block."""
        size = getattr(self._metadata, f"{which}_scratch_size") * prod(grid)
        align = getattr(self._metadata, f"{which}_scratch_align")
        return staging.scratch(size, align, f"{which} scratch")


def _unwrapped(tensor: Any) -> Any:  # noqa: ANN401 - Triton's classes are untyped
    """Return the tensor behind one that `triton.reinterpret` gave another type."""
    return tensor.base if isinstance(tensor, TensorWrapper) else tensor


class Event:
    """A point on the card's modelled clock, in the form of `torch.cuda.Event`."""

    def __init__(self, card: TritonCard) -> None:
        self._card = card
        self._at = 0.0

    def record(self) -> None:
        """Take the time."""
        self._at = self._card.modelled_us

    def elapsed_time(self, end: Event) -> float:
        """Return the milliseconds from this event to a later one."""
        return (end._at - self._at) / 1e3

    def synchronize(self) -> None:
        """Do nothing: launches have ended when they return."""


class DeviceInterface:
    """What Triton asks of `torch.cuda`, for the simulated card."""

    def __init__(self, driver: SimulatedDriver) -> None:
        self._driver = driver

    def Event(self, *, enable_timing: bool = False) -> Event:  # noqa: N802 - torch.cuda's name
        """Return an event; all are timed."""
        del enable_timing
        return Event(self._driver.card)

    def synchronize(self) -> None:
        """Do nothing: launches have ended when they return."""

    def current_device(self) -> int:
        """Return the card's number."""
        return self._driver.get_current_device()


class SimulatedDriver(DriverBase):  # type: ignore[misc] # Triton is untyped
    """Compiles with Triton's CUDA backend and runs on a simulated card."""

    launcher_cls = Launcher

    def __init__(self, card: TritonCard) -> None:
        super().__init__()
        self.card = card
        self.utils = DriverFunctions(card)

    @classmethod
    def is_active(cls) -> bool:
        """Return False: Triton never chooses this driver by itself."""
        return False

    def get_current_target(self) -> GPUTarget:
        """Return the card's architecture, as Triton's CUDA backend takes it."""
        major, minor = self.card.spec.compute_capability
        return GPUTarget("cuda", 10 * major + minor, WARP_SIZE)

    def get_current_device(self) -> int:
        """Return a number that stands for the card's model."""
        return _FIRST_ORDINAL + known_devices().index(self.card.spec.name)

    def set_current_device(self, device: int) -> None:
        """Refuse another card than the installed one."""
        if device != self.get_current_device():
            raise LaunchRefusedError("cudaErrorInvalidDevice", f"there is no card {device}")

    def get_current_stream(self, _device: int) -> int:
        """Return the default stream, the only one."""
        return 0

    def get_device_capability(self, _device: int = 0) -> tuple[int, int]:
        """Return the compute capability."""
        return self.card.spec.compute_capability

    def get_active_torch_device(self) -> torch.device:
        """Return where tensors live: host memory, unless the card takes none of it."""
        return torch.device("cpu") if self.card.host_tensors else torch.device("cuda", 0)

    def get_device_interface(self) -> DeviceInterface:
        """Return what stands in for `torch.cuda`."""
        return DeviceInterface(self)

    def map_python_to_cpp_type(self, ty: str) -> str:
        """Return the C type of a kernel parameter."""
        sizes = {
            "fp16": "uint16_t",
            "bf16": "uint16_t",
            "fp32": "float",
            "f32": "float",
            "fp64": "double",
            "i1": "int8_t",
        }
        return "void*" if ty[0] == "*" else sizes.get(ty, f"{'u' if ty[0] == 'u' else ''}int{ty[1:]}_t")

    def get_benchmarker(self) -> Callable[..., list[float] | float]:
        """Return the function that `triton.autotune` compares configurations with: modelled time."""
        return self.card.bench

    def get_empty_cache_for_benchmark(self) -> None:
        """Modelled time assumes a cold cache."""

    def clear_cache(self, cache: None) -> None:
        """Modelled time assumes a cold cache."""


@contextmanager
def install(
    device: str | TritonCard = "h100", *, memory: DeviceMemory | None = None, options: LaunchOptions | None = None
) -> Iterator[TritonCard]:
    """Make a simulated card the one that Triton uses, for as long as the context lasts.

    Inside, `kernel[grid](...)` takes CPU tensors, or tensors that `TritonCard.place` put into the card's memory.
    `triton.autotune` and `triton.testing.do_bench` give modelled time.

    Parameters
    ----------
    device
        One of `known_devices()`, or a card.
    memory, options
        As for `TritonCard`; a card has its own.

    Raises
    ------
    UnknownDeviceError
        No such card.
    """
    card = device if isinstance(device, TritonCard) else TritonCard(device_spec(device), memory, options)
    config, runtime = triton.runtime.driver, knobs.runtime
    hook, bench = runtime.add_stages_inspection_hook, triton.testing.do_bench
    before = config._active  # noqa: SLF001 - the property would make Triton look for a GPU
    config.set_active(SimulatedDriver(card))
    runtime.add_stages_inspection_hook = keep_ptx(hook)
    triton.testing.do_bench = card.bench
    try:
        with _without_warp_group_products():
            yield card
    finally:
        config._active = before  # noqa: SLF001 - None is not a driver, so `set_active` is no way back
        runtime.add_stages_inspection_hook = hook
        triton.testing.do_bench = bench


@contextmanager
def _without_warp_group_products() -> Iterator[None]:
    """Have Triton multiply with `mma.sync` where it would use Hopper's `wgmma`, which simgpu lacks."""
    name = "DISABLE_MMA_V3"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
