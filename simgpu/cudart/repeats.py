"""Which launches of a program that times itself are counted: of many alike in a row, ever fewer.

Counting slows a launch several times, and programs that time a kernel launch it some hundred times. Launches of one
kernel with one shape and the same arguments mostly take as long as each other; what they find in memory may differ,
though, so they are counted again from time to time, and all of them as long as their times differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from simgpu.report import Dim3

_ALIKE = 0.02
"""How far apart, relatively, two modelled times may be and count as the same."""
_GROWTH = 4


@dataclass(frozen=True, slots=True)
class LaunchKey:
    """What launches that are expected to take as long as each other have in common."""

    image: int
    kernel: str
    grid: Dim3
    block: Dim3
    dynamic_shared: int
    params: bytes


@dataclass(slots=True)
class _History:
    microseconds: float
    """What the launch took when it was last counted."""
    pause: int = 0
    """Launches that went by uncounted before that."""
    left: int = 0
    """Launches that may still go by."""


class RepeatedLaunches:
    """Modelled times of what was launched before."""

    def __init__(self) -> None:
        self._seen: dict[LaunchKey, _History] = {}

    def expected(self, key: LaunchKey) -> float | None:
        """Return the microseconds that a launch takes, as its likes did; None where it is to be counted."""
        history = self._seen.get(key)
        if history is None or not history.left:
            return None
        history.left -= 1
        return history.microseconds

    def counted(self, key: LaunchKey, microseconds: float) -> None:
        """Note what a counted launch took; if that is the same as before, the next ones may go by."""
        before = self._seen.get(key)
        if before is None or not math.isclose(before.microseconds, microseconds, rel_tol=_ALIKE):
            self._seen[key] = _History(microseconds)
            return
        pause = max(_GROWTH * before.pause, 1)
        self._seen[key] = _History(microseconds, pause, pause)
