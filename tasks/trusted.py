"""Reference sources without a sandbox: for those that are known to be harmless, as the library's own and tests'."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.loading import Sizes
from tasks.reference import Reference, probe
from tasks.values import Direction, EagerOp, Outline, ProbeResult, Task, Workload


class TrustedProber:
    """Executes reference sources in this very process."""

    def probe(self, source: str, stated: Sequence[Sizes] = ()) -> ProbeResult:
        """Describe the op that `source` states; see `tasks.loading.Prober`."""
        return probe(source, stated)


class TrustedOutliner:
    """Tells in this very process what a task's reference has and launches at its workloads."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def outline(self, workload: Workload) -> Outline:
        """List the reference's tensors and results."""
        return self._reference(workload).outline(workload.inputs)

    def eager_ops(self, workload: Workload) -> tuple[EagerOp, ...]:
        """List what eager PyTorch launches."""
        gradients = self._task.gradients if self._task.direction is Direction.BACKWARD else ()
        return self._reference(workload).eager_ops_at(workload.inputs, gradients)

    def _reference(self, workload: Workload) -> Reference:
        return Reference(self._task.source, self._task.form, self._task.entry, workload.axes)
