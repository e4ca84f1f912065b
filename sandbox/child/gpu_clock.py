"""Times work on a real GPU by events on the current stream, as long as the device itself takes.

Before each sample more memory is written than L2 holds, so that no input is found there. Then the device is held until
the host has enqueued the whole call: neither launch latency nor Python counts, and no kernel of a stream begins before
the first event. What a call leaves on other streams would escape the second event, so some samples are taken a second
time with the whole device awaited before it; when that finds more, those samples are the figures.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from sandbox.child.gpu_hold import DeviceHold

_WARM_UP_CALLS = 5
_WARM_UP_SECONDS = 0.1
"""Under load for so long, a card has raised its clocks."""
_FLUSH_BYTES = 256 << 20
"""More than the L2 cache of any card."""
_HOLD_SECONDS = 0.01
"""The device begins then with what a call has enqueued that keeps the host busy for longer, or waits for the device."""
_FEWEST_SAMPLES = 10
_SAMPLING_SECONDS = 1.0
"""After these no further sample is begun, once there are enough for a median."""
_SETTLED_SAMPLES = 5
_ESCAPED_US = 20.0
_ESCAPED_SHARE = 0.25
"""Work beyond the events, in microseconds and as a share of the time between them: less is within the noise."""

Call = Callable[[], object]


class GpuClock:
    """Samples of one call after the other. Made once the device is set."""

    def __init__(self) -> None:
        self._memory = torch.empty(_FLUSH_BYTES, dtype=torch.uint8, device="cuda")
        self._hold = DeviceHold()
        self._stream = torch.cuda.current_stream()

    def samples(self, call: Call, repeats: int) -> tuple[float, ...]:
        """Return the microseconds of each of `repeats` calls; of fewer, but ten, when calls take long."""
        self._warm_up(call)
        settle = self._has_escaping_work(call)
        end = time.perf_counter() + _SAMPLING_SECONDS
        found: list[float] = []
        while len(found) < repeats and (len(found) < _FEWEST_SAMPLES or time.perf_counter() < end):
            found.append(self._elapsed(call, settle=settle))
        return tuple(found)

    def _warm_up(self, call: Call) -> None:
        """Call until the clocks are up."""
        calls = 0
        end = time.perf_counter() + _WARM_UP_SECONDS
        while calls < _WARM_UP_CALLS or time.perf_counter() < end:
            call()
            torch.cuda.synchronize()
            calls += 1

    def _has_escaping_work(self, call: Call) -> bool:
        def least(measured: Call, *, settle: bool) -> float:
            return min(self._elapsed(measured, settle=settle) for _ in range(_SETTLED_SAMPLES))

        waking = least(_nothing, settle=True) - least(_nothing, settle=False)
        direct = least(call, settle=False)
        escaped = least(call, settle=True) - direct - waking
        return escaped > max(_ESCAPED_US, _ESCAPED_SHARE * direct)

    def _elapsed(self, call: Call, *, settle: bool) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self._memory.zero_()
        with self._hold.held(self._stream, _HOLD_SECONDS):
            start.record(self._stream)
            call()
            if not settle:
                end.record(self._stream)
        if settle:
            torch.cuda.synchronize()
            end.record(self._stream)
        torch.cuda.synchronize()
        return float(start.elapsed_time(end)) * 1e3


def _nothing() -> None:
    """Stand for a call that does no work."""
