"""Modelled time of a card's streams and events.

Work runs at once when it is submitted; what is kept here is when each stream would have finished it. The rules are
those of the CUDA runtime: work in one stream runs in order, streams run side by side, and the legacy default stream
(handle 0 or 1) waits for every blocking stream and holds them up in turn (CUDA C++ Programming Guide, Default Stream).
Contention between kernels of different streams is not modelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from simgpu.cudart.errors import CudaCode, CudaError

LEGACY_STREAMS = frozenset({0, 1})
"""The null handle and `cudaStreamLegacy`."""
PER_THREAD_STREAM = 2
"""`cudaStreamPerThread`."""
_NON_BLOCKING = 1
_DISABLE_TIMING = 2


@dataclass(slots=True)
class _Stream:
    flags: int
    ready_us: float = 0.0
    known_us: float = 0.0
    """Up to when the host has waited for it."""

    @property
    def blocking(self) -> bool:
        return not self.flags & _NON_BLOCKING


@dataclass(slots=True)
class _Event:
    flags: int
    time_us: float | None = None


class Timeline:
    """When each stream of one card has finished what was submitted so far, in microseconds."""

    def __init__(self) -> None:
        self._handles = count(0x1000, 0x10)
        self._legacy = _Stream(0)
        self._streams = {PER_THREAD_STREAM: _Stream(0)}
        self._events: dict[int, _Event] = {}
        self.timed = False
        """Whether an event that can measure time was ever created."""

    def create_stream(self, flags: int) -> int:
        """Return the handle of a new stream."""
        handle = next(self._handles)
        self._streams[handle] = _Stream(flags)
        return handle

    def destroy_stream(self, handle: int) -> None:
        """Forget a stream; its work is done."""
        self._stream(handle)
        self._streams.pop(handle, None)

    def stream_flags(self, handle: int) -> int:
        """Return the flags that a stream was created with.

        Raises
        ------
        CudaError
            No such stream.
        """
        return self._stream(handle).flags

    def run(self, handle: int, microseconds: float) -> None:
        """Append work to a stream."""
        stream = self._stream(handle)
        end = self._start(stream) + microseconds
        stream.ready_us = end
        if stream is self._legacy:
            for other in self._streams.values():
                if other.blocking:
                    other.ready_us = end

    def rewind(self) -> None:
        """Start at zero again: streams are idle, and no event has a time."""
        for stream in (self._legacy, *self._streams.values()):
            stream.ready_us = stream.known_us = 0.0
        for event in self._events.values():
            event.time_us = None

    def create_event(self, flags: int) -> int:
        """Return the handle of a new event."""
        handle = next(self._handles)
        self._events[handle] = _Event(flags)
        self.timed = self.timed or not flags & _DISABLE_TIMING
        return handle

    def destroy_event(self, handle: int) -> None:
        """Forget an event."""
        self.check_event(handle)
        del self._events[handle]

    def check_event(self, handle: int) -> None:
        """Refuse an unknown event with a CudaError."""
        self._event(handle)

    def record(self, event: int, stream: int) -> None:
        """Set an event to the time at which a stream has finished what was submitted so far."""
        self._event(event).time_us = self._start(self._stream(stream))

    def wait(self, stream: int, event: int) -> None:
        """Hold a stream until an event; an event that was never recorded holds nothing."""
        waiting = self._stream(stream)
        waiting.ready_us = max(waiting.ready_us, self._event(event).time_us or 0.0)

    def synchronize(self) -> None:
        """Note that the host has waited: for everything, whatever it waited for, since all work has run by then."""
        for stream in self._streams.values():
            stream.known_us = stream.ready_us

    def unjoined(self) -> list[int]:
        """Return the streams with work that neither the default stream nor the host has waited for.

        They are told by modelled times: one that would have ended earlier than what the default stream does anyway is
        missed.
        """
        default = self._start(self._legacy)
        return [handle for handle, one in self._streams.items() if one.ready_us > max(default, one.known_us)]

    def elapsed_ms(self, start: int, end: int) -> float:
        """Return the milliseconds between two recorded events.

        Raises
        ------
        CudaError
            An event is unknown, was never recorded, or was created without timing.
        """
        first, second = self._event(start), self._event(end)
        if (first.flags | second.flags) & _DISABLE_TIMING or first.time_us is None or second.time_us is None:
            raise CudaError(CudaCode.INVALID_RESOURCE_HANDLE, "an event without a recorded time")
        return (second.time_us - first.time_us) / 1e3

    def _start(self, stream: _Stream) -> float:
        if stream is self._legacy:
            return max([self._legacy.ready_us, *(other.ready_us for other in self._streams.values() if other.blocking)])
        return max(stream.ready_us, self._legacy.ready_us) if stream.blocking else stream.ready_us

    def _stream(self, handle: int) -> _Stream:
        if handle in LEGACY_STREAMS:
            return self._legacy
        try:
            return self._streams[handle]
        except KeyError:
            raise CudaError(CudaCode.INVALID_RESOURCE_HANDLE, f"unknown stream {handle:#x}") from None

    def _event(self, handle: int) -> _Event:
        try:
            return self._events[handle]
        except KeyError:
            raise CudaError(CudaCode.INVALID_RESOURCE_HANDLE, f"unknown event {handle:#x}") from None
