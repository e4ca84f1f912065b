"""What compiled host code needs of a simulated card: the stand-in CUDA runtime, and tensors through TVM FFI."""

from __future__ import annotations

import ctypes
from pathlib import Path

from sandbox.child.card import Card
from sandbox.child.dlpack import CUDA, TensorFactory
from sandbox.child.host import CardLog
from simgpu import LaunchOptions
from simgpu.cudart.runtime import StandInRuntime
from simgpu.errors import OutOfDeviceMemoryError


class CardRuntime:
    """The runtime of one card. Made before any library of a candidate is loaded, so that they find it first.

    Parameters
    ----------
    card
        Whose memory tensors lie in.
    standin
        The compiled stand-in runtime.

    Attributes
    ----------
    factory
        Makes the tensors that host code gets and allocates.
    """

    def __init__(self, card: Card, standin: Path) -> None:
        self._card = card
        self._runtime = StandInRuntime(card.spec, card.memory, LaunchOptions())
        self._runtime.install(standin)
        self._start = self._runtime.timeline.create_event(0)
        self._host_memory: dict[int, ctypes.Array[ctypes.c_char]] = {}
        self.factory = TensorFactory(self._allocate, self._free)
        self.factory.install()
        self._failures: list[str] = []

    def begin(self, options: LaunchOptions) -> None:
        """Forget the last run; launches run under these options from now on."""
        self._runtime.reset()
        self._failures.clear()
        self._runtime.timeline.record(self._start, 0)
        self._runtime.options = options

    def end(self) -> None:
        """Write down a fault of the simulator itself: no verdict is possible then, and it is not the candidate's."""
        try:
            self._runtime.raise_failure()
        except Exception as error:  # noqa: BLE001 -- whatever went wrong inside the simulator
            self._failures.append(f"the simulator failed: {error!r}")

    def log(self) -> CardLog:
        """Return what the card saw since `begin`."""
        runtime = self._runtime
        busy = sum(report.modelled.microseconds for report in runtime.launches if report.modelled)
        return CardLog(
            launches=tuple(runtime.launches),
            diagnostics=tuple(runtime.diagnostics),
            refusals=tuple(runtime.refusals),
            missing=(*runtime.missing, *self._failures),
            unjoined=len(runtime.timeline.unjoined()),
            # The default stream waits for every blocking stream, so its clock covers copies and fills too. Kernels
            # on non-blocking streams would escape it; they are counted one after the other.
            microseconds=max(busy, self._default_stream_us()),
        )

    def _default_stream_us(self) -> float:
        timeline = self._runtime.timeline
        end = timeline.create_event(0)
        timeline.record(end, 0)
        elapsed = timeline.elapsed_ms(self._start, end) * 1e3
        timeline.destroy_event(end)
        return elapsed

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
