"""The host side of a `cuda` candidate: a shared object whose entry is called through TVM FFI."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tvm_ffi

from sandbox.child.card import Card
from sandbox.child.dlpack import CUDA, TensorFactory, UnknownElementTypeError, dtype_of
from sandbox.child.host import CardLog, HostError, HostRun
from sandbox.child.library import load_entry
from sandbox.child.program import LoadError
from sandbox.protocol import CandidateConfig
from sandbox.values import ExitState, Tensor
from simgpu import LaunchOptions
from simgpu.cudart.runtime import StandInRuntime
from simgpu.errors import OutOfDeviceMemoryError

_TORCH_CUDA = b"libc10_cuda.so"


class ExtensionHost:
    """A loaded extension on a simulated card.

    Parameters
    ----------
    config
        Names the shared object and the entry.
    card
        Where its tensors live.
    """

    def __init__(self, config: CandidateConfig, card: Card) -> None:
        self._card = card
        self._runtime = StandInRuntime(card.spec, card.memory, LaunchOptions())
        # First, so that the candidate's library finds it in place of the real runtime.
        self._runtime.install(config.standin_cache)
        self._start = self._runtime.timeline.create_event(0)
        self._host_memory: dict[int, ctypes.Array[ctypes.c_char]] = {}
        self._factory = TensorFactory(self._allocate, self._free)
        self._factory.install()
        library = config.folder / (config.library or "")
        refuse_cuda_build(library)
        self._function = load_entry(library, config.entry)
        self._failures: list[str] = []

    def run(self, arguments: Sequence[Tensor], options: LaunchOptions) -> HostRun:
        """Copy the arguments to new addresses, call the entry, copy the results back."""
        self._runtime.reset()
        self._failures.clear()
        self._runtime.timeline.record(self._start, 0)
        self._runtime.options = options
        try:
            with self._card.shifted():
                addresses = [self._card.put(tensor, f"argument {i}") for i, tensor in enumerate(arguments)]
            tensors = [
                self._factory.tensor(address, argument.dtype, argument.shape)
                for address, argument in zip(addresses, arguments, strict=True)
            ]
            results = _results(self._function(*tensors))
            outputs = tuple(self._read(result) for result in results)
            after = tuple(
                self._card.read(address, argument.dtype, argument.shape)
                for address, argument in zip(addresses, arguments, strict=True)
            )
        except Exception as error:  # noqa: BLE001 -- TVM FFI raises whatever class the host code names
            self._note_failure()
            return HostRun(error=error)
        self._note_failure()
        return HostRun(outputs=outputs, arguments_after=after)

    def log(self) -> CardLog:
        """Return what the card saw during the last run."""
        runtime = self._runtime
        busy = sum(report.modelled.microseconds for report in runtime.launches if report.modelled)
        return CardLog(
            launches=tuple(runtime.launches),
            diagnostics=tuple(runtime.diagnostics),
            refusals=tuple(runtime.refusals),
            missing=(*runtime.missing, *self._failures),
            # The default stream waits for every blocking stream, so its clock covers copies and fills too. Kernels
            # on non-blocking streams would escape it; they are counted one after the other.
            microseconds=max(busy, self._default_stream_us()),
        )

    def _note_failure(self) -> None:
        """Write down a fault of the simulator itself: no verdict is possible then, and it is not the candidate's."""
        try:
            self._runtime.raise_failure()
        except Exception as error:  # noqa: BLE001 -- whatever went wrong inside the simulator
            self._failures.append(f"the simulator failed: {error!r}")

    def _default_stream_us(self) -> float:
        timeline = self._runtime.timeline
        end = timeline.create_event(0)
        timeline.record(end, 0)
        elapsed = timeline.elapsed_ms(self._start, end) * 1e3
        timeline.destroy_event(end)
        return elapsed

    def _read(self, result: tvm_ffi.Tensor) -> Tensor:
        if result.__dlpack_device__()[0] != CUDA:
            raise HostError("a result is not on the GPU")
        dtype = result.dtype
        try:
            known = dtype_of(dtype.type_code, dtype.bits, dtype.lanes)
        except UnknownElementTypeError as error:
            raise HostError(str(error)) from error
        strides = None if result.is_contiguous() else tuple(result.strides)
        return self._card.read(result.data_ptr(), known, tuple(result.shape), strides)

    def _allocate(self, nbytes: int, device: int) -> int:
        if device != CUDA:
            buffer = ctypes.create_string_buffer(max(nbytes, 1))
            self._host_memory[ctypes.addressof(buffer)] = buffer
            return ctypes.addressof(buffer)
        try:
            return self._card.allocate(nbytes, "torch::empty")
        except OutOfDeviceMemoryError as error:
            raise MemoryError(str(error)) from error

    def _free(self, address: int, device: int) -> None:
        if device == CUDA:
            self._card.memory.free(address)
        else:
            del self._host_memory[address]


def refuse_cuda_build(library: Path) -> None:
    """Refuse a library that needs PyTorch's own CUDA libraries: they drive real GPUs.

    Raises
    ------
    LoadError
        It is linked to them, as extensions against the full headers of a build of PyTorch with CUDA are.
    """
    if _TORCH_CUDA in library.read_bytes():
        sentence = "it is linked to PyTorch's CUDA libraries, which need a real GPU; build it with light headers"
        raise LoadError(ExitState.UNSUPPORTED, sentence)


def _results(value: Any) -> tuple[tvm_ffi.Tensor, ...]:  # noqa: ANN401 -- TVM FFI gives any value
    values = (value,) if isinstance(value, tvm_ffi.Tensor) else tuple(value) if value is not None else ()
    if not values or not all(isinstance(item, tvm_ffi.Tensor) for item in values):
        raise HostError("the entry returned no tensor, or something beside tensors")
    return values
