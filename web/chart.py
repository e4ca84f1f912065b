"""The chart of a run: speed-up by attempt, as coordinates for an inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

from dataset.values import AttemptRecord
from sandbox.values import Basis
from tasks.values import Value

WIDTH, HEIGHT = 720, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 16, 40
_PARTS = 5


class Fate(StrEnum):
    """What a mark stands for."""

    PASSED = "passed"
    FAILED = "failed"
    PENDING = "pending"


class Mark(Value):
    """One attempt in the chart."""

    x: float
    y: float
    attempt: int
    label: str
    """For the tooltip and for screen readers."""
    fate: Fate


class Tick(Value):
    """One labelled position on an axis."""

    at: float
    label: str


class Chart(Value):
    """Everything that the template draws; coordinates are SVG user units."""

    basis: Basis
    marks: tuple[Mark, ...]
    best: str
    """Points of the line of the best speed-up so far, for `polyline`."""
    speedups: tuple[Tick, ...]
    attempts: tuple[Tick, ...]
    one: float
    """Height of speed-up 1: eager PyTorch."""


def chart(attempts: Sequence[AttemptRecord]) -> Chart | None:
    """Return the chart of a run's attempts, None while nothing was timed."""
    timed = {attempt.number: attempt.measurement for attempt in attempts if attempt.measurement is not None}
    if not timed:
        return None
    last = max(attempt.number for attempt in attempts)
    highest = max(1.0, *(measurement.speedup for measurement in timed.values()))
    step = _step(highest)
    parts = math.ceil(highest / step)
    top = parts * step

    def x(number: int) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (number + 0.5) / (last + 1), 1)

    def y(speedup: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * speedup / top, 1)

    points, best = [], 0.0
    for number, measurement in sorted(timed.items()):
        if best:
            points.append((x(number), y(best)))
        best = max(best, measurement.speedup)
        points.append((x(number), y(best)))
    points.append((float(WIDTH - RIGHT), y(best)))
    return Chart(
        basis=next(iter(timed.values())).basis,
        marks=tuple(
            Mark(
                x=x(attempt.number),
                y=y(timed[attempt.number].speedup if attempt.number in timed else 0),
                attempt=attempt.number,
                label=_label(attempt),
                fate=_fate(attempt),
            )
            for attempt in attempts
        ),
        best=" ".join(f"{across},{down}" for across, down in points),
        speedups=tuple(Tick(at=y(part * step), label=f"{part * step:g}×") for part in range(parts + 1)),
        attempts=tuple(Tick(at=x(n), label=str(n)) for n in range(0, last + 1, max(1, math.ceil((last + 1) / 12)))),
        one=y(1.0),
    )


def _fate(attempt: AttemptRecord) -> Fate:
    if attempt.measurement is not None:
        return Fate.PASSED
    pending = attempt.candidate is not None and (attempt.verdict is None or attempt.verdict.passed)
    return Fate.PENDING if pending else Fate.FAILED


def _label(attempt: AttemptRecord) -> str:
    if attempt.measurement is not None:
        said = f"{attempt.measurement.speedup:.2f}× ({attempt.measurement.basis.value})"
    elif attempt.verdict is not None:
        said = attempt.verdict.status.value.replace("_", " ")
    else:
        said = "no kernel" if attempt.candidate is None else "being evaluated"
    return f"attempt {attempt.number}: {said}"


def _step(highest: float) -> float:
    """Return a distance of 1, 2, 2.5 or 5 times a power of ten that divides 0 to `highest` into at most five parts."""
    power = 10.0 ** math.floor(math.log10(highest / _PARTS))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor * _PARTS >= highest)
