"""The C side of the stand-in runtime as Python sees it: the table of callbacks, and what crosses it.

`HostTable` mirrors the struct of that name in `native/standin.h`. Each callback unpacks its C arguments, asks the
`Host`, writes the results through the pointers that it was given and returns a CUDA error code.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_float, c_int, c_int64, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar

from simgpu.cudart.engine import AllocationImage, DeviceVariable, Parameter
from simgpu.cudart.errors import CudaCode
from simgpu.cudart.timeline import Timeline
from simgpu.errors import SimgpuError
from simgpu.report import Dim3

_Value_contra = TypeVar("_Value_contra", contravariant=True)
HOST_LABELS = frozenset({"cudaMallocHost", "cudaHostAlloc"})
"""Allocations that programs know as host memory."""


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """A launch as the host code asked for it."""

    image: int
    """Names the fat binary."""
    kernel: str
    grid: Dim3
    block: Dim3
    dynamic_shared: int
    stream: int
    arguments: int
    """Address of an array with one pointer per kernel parameter."""
    cooperative: bool


@dataclass(frozen=True, slots=True)
class FunctionAttributes:
    """What `cudaFuncGetAttributes` tells, in the order of `FunctionValue` in `native/device.cpp`."""

    shared: int
    constant: int
    local: int
    max_threads: int
    registers: int
    ptx_version: int
    binary_version: int
    max_dynamic_shared: int


class CopyKind(IntEnum):
    """`cudaMemcpyKind`, and one more for a memset."""

    FILL = -1
    HOST_TO_HOST = 0
    HOST_TO_DEVICE = 1
    DEVICE_TO_HOST = 2
    DEVICE_TO_DEVICE = 3
    DEFAULT = 4


class Host(Protocol):
    """What the stand-in asks the simulator; a method refuses by raising a `SimgpuError`."""

    @property
    def timeline(self) -> Timeline:
        """Streams and events."""

    def allocate(self, nbytes: int, kind: str) -> int:
        """Return the address of new device memory."""

    def release(self, address: int) -> None:
        """Free what `allocate` gave."""

    def check_range(self, address: int, nbytes: int, *, must_be_device: bool, what: str) -> None:
        """Refuse a range that leaves its allocation."""

    def find(self, address: int) -> AllocationImage:
        """Return the live allocation that an address lies in."""

    def free_memory(self) -> int:
        """Return the bytes left."""

    def moved(self, nbytes: int, kind: int, stream: int) -> None:
        """Account for a copy or memset that was done."""

    def synchronize(self) -> None:
        """Let the program see what its kernels printed so far."""

    def launch(self, request: LaunchRequest) -> None:
        """Run a kernel."""

    def parameter(self, image: int, kernel: str, index: int) -> Parameter | None:
        """Return a kernel's parameter, None behind the last one."""

    def register_host(self, address: int, nbytes: int) -> None:
        """Make host memory known to the card."""

    def unregister_host(self, address: int) -> None:
        """Forget what `register_host` was given."""

    def device_pointer(self, address: int) -> int:
        """Return where kernels find pinned or registered host memory."""

    def symbol(self, image: int, name: str) -> DeviceVariable:
        """Return a device variable by its mangled name."""

    def function_attributes(self, image: int, kernel: str) -> FunctionAttributes:
        """Return a kernel's attributes."""

    def set_function_attribute(self, image: int, kernel: str, attribute: int, value: int) -> None:
        """Set a kernel's attribute."""

    def occupancy(self, image: int, kernel: str, threads: int, dynamic_shared: int) -> int:
        """Return the blocks of a kernel that an SM holds."""

    def device_attribute(self, attribute: int) -> int:
        """Return a device attribute."""

    def device_reset(self) -> None:
        """Free everything that the program allocated."""

    def unsupported(self, what: str) -> None:
        """Note something that the stand-in lacks, and refuse."""

    def failed(self, error: BaseException) -> CudaCode | int:
        """Keep an exception that a callback raised, and return the code that the program gets."""


class _LaunchStruct(ctypes.Structure):
    """`LaunchRequest` of `native/standin.h`."""

    _fields_ = [
        ("image", c_uint64),
        ("kernel", c_char_p),
        ("grid", c_uint32 * 3),
        ("block", c_uint32 * 3),
        ("dynamic_shared", c_uint64),
        ("stream", c_uint64),
        ("arguments", c_void_p),
        ("cooperative", c_int),
    ]


class _Out(Protocol[_Value_contra]):
    """A C pointer that a callback writes through."""

    def __setitem__(self, index: int, value: _Value_contra, /) -> None: ...


def _callback(*arguments: Any) -> Any:  # noqa: ANN401 - ctypes makes function types at run time
    return CFUNCTYPE(c_int, *arguments)


_OUT_U32, _OUT_U64 = POINTER(c_uint32), POINTER(c_uint64)
_CALLBACKS: tuple[tuple[str, Any], ...] = (
    ("allocate", _callback(c_uint64, c_char_p, _OUT_U64)),
    ("release", _callback(c_uint64)),
    ("check_range", _callback(c_uint64, c_uint64, c_int, c_char_p)),
    ("find", _callback(c_uint64, _OUT_U64, _OUT_U64, POINTER(c_int))),
    ("free_memory", _callback(_OUT_U64)),
    ("moved", _callback(c_uint64, c_int, c_uint64)),
    ("synchronize", _callback()),
    ("launch", _callback(POINTER(_LaunchStruct))),
    ("parameter", _callback(c_uint64, c_char_p, c_uint32, _OUT_U64, _OUT_U64)),
    ("register_host", _callback(c_uint64, c_uint64)),
    ("unregister_host", _callback(c_uint64)),
    ("device_pointer", _callback(c_uint64, _OUT_U64)),
    ("symbol", _callback(c_uint64, c_char_p, _OUT_U64, _OUT_U64)),
    ("function_attributes", _callback(c_uint64, c_char_p, POINTER(c_int64))),
    ("set_function_attribute", _callback(c_uint64, c_char_p, c_int, c_int)),
    ("occupancy", _callback(c_uint64, c_char_p, c_int, c_uint64, POINTER(c_int))),
    ("device_attribute", _callback(c_int, POINTER(c_int))),
    ("device_reset", _callback()),
    ("stream_create", _callback(c_uint32, _OUT_U64)),
    ("stream_destroy", _callback(c_uint64)),
    ("stream_check", _callback(c_uint64, _OUT_U32)),
    ("stream_wait", _callback(c_uint64, c_uint64)),
    ("event_create", _callback(c_uint32, _OUT_U64)),
    ("event_destroy", _callback(c_uint64)),
    ("event_record", _callback(c_uint64, c_uint64)),
    ("event_check", _callback(c_uint64)),
    ("event_elapsed", _callback(c_uint64, c_uint64, POINTER(c_float))),
    ("unsupported", _callback(c_char_p)),
)


class HostTable(ctypes.Structure):
    """The struct of callbacks that C calls."""

    _fields_ = [("device_name", c_char_p), ("device_memory", c_uint64), *_CALLBACKS]


class _Callbacks:
    """One method per field of `HostTable`, with its C arguments."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def allocate(self, nbytes: int, kind: bytes, address: _Out[int]) -> None:
        address[0] = self._host.allocate(nbytes, kind.decode())

    def release(self, address: int) -> None:
        self._host.release(address)

    def check_range(self, address: int, nbytes: int, must_be_device: int, what: bytes) -> None:
        self._host.check_range(address, nbytes, must_be_device=bool(must_be_device), what=what.decode())

    def find(self, address: int, base: _Out[int], nbytes: _Out[int], is_host: _Out[int]) -> None:
        allocation = self._host.find(address)
        base[0], nbytes[0], is_host[0] = allocation.address, allocation.size, allocation.label in HOST_LABELS

    def free_memory(self, nbytes: _Out[int]) -> None:
        nbytes[0] = self._host.free_memory()

    def moved(self, nbytes: int, kind: int, stream: int) -> None:
        self._host.moved(nbytes, kind, stream)

    def synchronize(self) -> None:
        self._host.synchronize()

    def parameter(self, image: int, kernel: bytes, index: int, offset: _Out[int], nbytes: _Out[int]) -> None:
        found = self._host.parameter(image, kernel.decode(), index)
        offset[0], nbytes[0] = (0, 0) if found is None else (found.offset, found.size)

    def register_host(self, address: int, nbytes: int) -> None:
        self._host.register_host(address, nbytes)

    def unregister_host(self, address: int) -> None:
        self._host.unregister_host(address)

    def device_pointer(self, address: int, pointer: _Out[int]) -> None:
        pointer[0] = self._host.device_pointer(address)

    def launch(self, request: ctypes._Pointer[_LaunchStruct]) -> None:
        asked = request.contents
        self._host.launch(
            LaunchRequest(
                image=asked.image,
                kernel=asked.kernel.decode(),
                grid=(asked.grid[0], asked.grid[1], asked.grid[2]),
                block=(asked.block[0], asked.block[1], asked.block[2]),
                dynamic_shared=asked.dynamic_shared,
                stream=asked.stream,
                arguments=asked.arguments or 0,
                cooperative=bool(asked.cooperative),
            )
        )

    def symbol(self, image: int, name: bytes, address: _Out[int], nbytes: _Out[int]) -> None:
        variable = self._host.symbol(image, name.decode())
        address[0], nbytes[0] = variable.address, variable.size

    def function_attributes(self, image: int, kernel: bytes, values: _Out[int]) -> None:
        found = self._host.function_attributes(image, kernel.decode())
        for index, name in enumerate(FunctionAttributes.__slots__):
            values[index] = getattr(found, name)

    def set_function_attribute(self, image: int, kernel: bytes, attribute: int, value: int) -> None:
        self._host.set_function_attribute(image, kernel.decode(), attribute, value)

    def occupancy(self, image: int, kernel: bytes, threads: int, shared: int, blocks: _Out[int]) -> None:
        blocks[0] = self._host.occupancy(image, kernel.decode(), threads, shared)

    def device_attribute(self, attribute: int, value: _Out[int]) -> None:
        value[0] = self._host.device_attribute(attribute)

    def device_reset(self) -> None:
        self._host.device_reset()

    def stream_create(self, flags: int, stream: _Out[int]) -> None:
        stream[0] = self._host.timeline.create_stream(flags)

    def stream_destroy(self, stream: int) -> None:
        self._host.timeline.destroy_stream(stream)

    def stream_check(self, stream: int, flags: _Out[int]) -> None:
        flags[0] = self._host.timeline.stream_flags(stream)

    def stream_wait(self, stream: int, event: int) -> None:
        self._host.timeline.wait(stream, event)

    def event_create(self, flags: int, event: _Out[int]) -> None:
        event[0] = self._host.timeline.create_event(flags)

    def event_destroy(self, event: int) -> None:
        self._host.timeline.destroy_event(event)

    def event_record(self, event: int, stream: int) -> None:
        self._host.timeline.record(event, stream)

    def event_check(self, event: int) -> None:
        self._host.timeline.check_event(event)

    def event_elapsed(self, start: int, end: int, milliseconds: _Out[float]) -> None:
        milliseconds[0] = self._host.timeline.elapsed_ms(start, end)

    def unsupported(self, what: bytes) -> None:
        self._host.unsupported(what.decode())


def _guarded(host: Host, method: Callable[..., None]) -> Callable[..., int]:
    def call(*arguments: Any) -> int:  # noqa: ANN401 - C arguments of every kind
        try:
            method(*arguments)
        except BaseException as error:  # noqa: BLE001 - nothing can be raised through C; the host keeps it
            return int(host.failed(error))
        return CudaCode.SUCCESS

    return call


def _entry_address(library: ctypes.CDLL) -> int | None:
    return ctypes.cast(library.cudaMalloc, c_void_p).value


class StandInShadowedError(SimgpuError):
    """Another CUDA runtime was loaded into this process first, so host code would call that one."""


def preload(path: Path) -> None:
    """Load a compiled stand-in before a library that would bring NVIDIA's runtime, as a PyTorch with CUDA does.

    What is loaded later binds to the stand-in. It answers with errors until a `StandInLibrary` is connected.
    """
    ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


class StandInLibrary:
    """The compiled stand-in, loaded so that later libraries bind to it.

    Raises
    ------
    StandInShadowedError
        They would bind to another library of the same name.
    """

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        self._table: HostTable | None = None
        # By its name alone, the loader gives the library that was loaded first, as it does to later libraries.
        first = ctypes.CDLL(path.name, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
        if _entry_address(first) != _entry_address(self._library):
            raise StandInShadowedError(f"another {path.name} is loaded in this process; load the stand-in before it")

    def connect(self, host: Host, device_name: str, device_memory: int) -> None:
        """Let every entry point ask `host`, in place of whoever was asked before."""
        table = HostTable(device_name=device_name.encode(), device_memory=device_memory)
        callbacks = _Callbacks(host)
        for name, prototype in _CALLBACKS:
            setattr(table, name, prototype(_guarded(host, getattr(callbacks, name))))
        self._library.kernelwright_standin_connect(ctypes.byref(table))
        self._table = table  # C keeps a pointer to it
        self.clear_errors()

    def disconnect(self) -> None:
        """Let every entry point refuse."""
        self._library.kernelwright_standin_connect(None)
        self._table = None

    def clear_errors(self) -> None:
        """Forget the sticky error and the calling thread's last one."""
        self._library.kernelwright_standin_clear_errors()
