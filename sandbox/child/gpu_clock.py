"""Times work on a real GPU by events on the current stream, as long as the device itself takes.

Before each sample more memory is written than L2 holds, so that no input is found there, and often enough that the host
has enqueued the whole call before the device comes to it: neither launch latency nor Python counts. What a call leaves
on other streams would escape the two events, so some samples are taken a second time with the whole device awaited
before the second event; when that finds more, those samples are the figures.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

import torch

_WARM_UP_CALLS = 5
_WARM_UP_SECONDS = 0.1
"""Under load for so long, a card has raised its clocks."""
_FLUSH_BYTES = 256 << 20
"""More than the L2 cache of any card."""
_MOST_FLUSHES = 64
"""What bounds the device's work for one sample of a call that keeps the host busy for long."""
_HEAD_START = 1.5
"""How much longer the device is kept busy than the host took to enqueue a call."""
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
        self._flush_us = min(self._elapsed(self._memory.zero_, settle=False, flushes=1) for _ in range(_WARM_UP_CALLS))

    def samples(self, call: Call, repeats: int) -> tuple[float, ...]:
        """Return the microseconds of each of `repeats` calls; of fewer, but ten, when calls take long."""
        flushes = self._warm_up(call)
        settle = self._has_escaping_work(call, flushes)
        end = time.perf_counter() + _SAMPLING_SECONDS
        found: list[float] = []
        while len(found) < repeats and (len(found) < _FEWEST_SAMPLES or time.perf_counter() < end):
            found.append(self._elapsed(call, settle=settle, flushes=flushes))
        return tuple(found)

    def _warm_up(self, call: Call) -> int:
        """Call until the clocks are up; return how many flushes take longer than the host takes for a call."""
        host: list[float] = []
        end = time.perf_counter() + _WARM_UP_SECONDS
        while len(host) < _WARM_UP_CALLS or time.perf_counter() < end:
            start = time.perf_counter()
            call()
            host.append((time.perf_counter() - start) * 1e6)
            torch.cuda.synchronize()
        return min(max(math.ceil(_HEAD_START * statistics.median(host) / self._flush_us), 1), _MOST_FLUSHES)

    def _has_escaping_work(self, call: Call, flushes: int) -> bool:
        def least(measured: Call, *, settle: bool) -> float:
            return min(self._elapsed(measured, settle=settle, flushes=flushes) for _ in range(_SETTLED_SAMPLES))

        waking = least(_nothing, settle=True) - least(_nothing, settle=False)
        direct = least(call, settle=False)
        escaped = least(call, settle=True) - direct - waking
        return escaped > max(_ESCAPED_US, _ESCAPED_SHARE * direct)

    def _elapsed(self, call: Call, *, settle: bool, flushes: int) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        for _ in range(flushes):
            self._memory.zero_()
        start.record()
        call()
        if settle:
            torch.cuda.synchronize()
        end.record()
        torch.cuda.synchronize()
        return float(start.elapsed_time(end)) * 1e3


def _nothing() -> None:
    """Stand for a call that does no work."""
