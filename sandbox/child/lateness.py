"""Results that are still being written when the call has returned, by a thread or a stream that nobody waits for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sandbox.values import Tensor

_TASKS = Path("/proc/self/task")
_GRACE_SECONDS = 0.05
"""How long a thread that the call left behind is watched. A slower one leaves wrong values behind it."""


class LateWrites:
    """Looks again at the results of one call. Made before the call."""

    def __init__(self) -> None:
        self._threads = _threads()

    def among(self, outputs: Sequence[Tensor], read: Callable[[], Sequence[Tensor]]) -> str:
        """Return a sentence about the first output that has changed since it was read, empty where none has.

        Parameters
        ----------
        outputs
            As they were when the call had returned.
        read
            Reads them again.
        """
        if _threads() - self._threads:
            time.sleep(_GRACE_SECONDS)
        pairs = zip(outputs, read(), strict=True)
        changed = next((number for number, (first, later) in enumerate(pairs) if first.data != later.data), None)
        return "" if changed is None else f"output {changed} was still being written after the call had returned"


def _threads() -> set[str]:
    return {path.name for path in _TASKS.iterdir()}
