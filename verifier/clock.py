"""Where the time of a verdict goes, by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sandbox.values import ReferenceResult, Tensor
from tasks.values import Precision, Workload
from verifier.laboratory import ReferenceOver, ReferenceRunner
from verifier.values import Stage


class Clock:
    """Adds up wall seconds by stage."""

    def __init__(self) -> None:
        self._seconds: dict[Stage, float] = {}

    @property
    def seconds(self) -> dict[Stage, float]:
        """Seconds so far, to a tenth of a millisecond."""
        return {stage: round(max(seconds, 0.0), 4) for stage, seconds in self._seconds.items()}

    @contextmanager
    def timed(self, stage: Stage) -> Iterator[None]:
        """Count what happens inside for a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._add(stage, time.perf_counter() - start)

    def move(self, source: Stage, target: Stage, seconds: float) -> None:
        """Count seconds for another stage than the one that they were counted for."""
        self._add(source, -seconds)
        self._add(target, seconds)

    def _add(self, stage: Stage, seconds: float) -> None:
        self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds


class ClockedReference(ReferenceOver):
    """A reference whose first answer tells how long its process took to start.

    Parameters
    ----------
    real
        Runs it.
    clock
        Counts its time for `Stage.REFERENCE` already, that of the start included.
    """

    def __init__(self, real: ReferenceRunner, clock: Clock) -> None:
        super().__init__(real)
        self._clock = clock
        self._asked = False

    def run(
        self,
        workload: Workload,
        tensors: Mapping[str, Tensor],
        precision: Precision,
        output_gradients: Sequence[Tensor] = (),
    ) -> ReferenceResult:
        """Return the reference's results."""
        start = time.perf_counter()
        result = super().run(workload, tensors, precision, output_gradients)
        if not self._asked:
            waited = time.perf_counter() - start - result.seconds
            self._clock.move(Stage.REFERENCE, Stage.START_UP, waited)
            self._asked = True
        return result
