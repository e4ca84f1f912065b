"""The real evaluator: the seam between the search and the verifier."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Self

from agent.locks import held
from agent.values import Evaluator, Outcome
from sandbox.devices import parse_device
from sandbox.values import Candidate, Device, DeviceKind
from tasks.errors import CandidateError
from tasks.values import Purpose, Task, Visibility
from verifier.bench import bench
from verifier.laboratory import Laboratory
from verifier.sandboxed import SandboxLaboratory
from verifier.values import Check, Status, Verdict
from verifier.verify import verify

__all__ = ["Evaluator", "LocalEvaluator", "Outcome"]


class LocalEvaluator:
    """The real evaluator: sandboxed verification on this machine, then the benchmark.

    A context manager: the processes that it keeps between evaluations end with the block.

    Parameters
    ----------
    laboratory
        What builds and runs; the sandbox when None.
    """

    def __init__(self, laboratory: Laboratory | None = None) -> None:
        self._opened = ExitStack()
        self._laboratory = laboratory or self._opened.enter_context(SandboxLaboratory())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def prepare(self, task: Task) -> None:
        """Start the reference's process, which loads PyTorch; see `Evaluator.prepare`."""
        self._laboratory.prepare(task)

    def evaluate(self, task: Task, candidate: Candidate, device: str, seed: int) -> Outcome:
        """Verify, then time what passed; see `Evaluator.evaluate`."""
        target = parse_device(device)
        if target.kind is DeviceKind.SIM:
            return self._evaluate(task, candidate, target, seed)
        # A time taken while another kernel runs on the same GPU is no measurement, whichever process started it.
        with held(f"device-{target.name}"):
            return self._evaluate(task, candidate, target, seed)

    def _evaluate(self, task: Task, candidate: Candidate, device: Device, seed: int) -> Outcome:
        verdict = verify(task, candidate, device, seed=seed, laboratory=self._laboratory)
        if not verdict.passed:
            return Outcome(verdict=verdict)
        try:
            measurement = bench(task, candidate, device, seed=seed, laboratory=self._laboratory)
        except CandidateError as error:
            return Outcome(verdict=_failed_in_bench(verdict, task, error))
        return Outcome(verdict=verdict, measurement=measurement)


def _failed_in_bench(verdict: Verdict, task: Task, error: CandidateError) -> Verdict:
    """Take back a pass: a kernel that cannot be timed at the task's own sizes is not accepted."""
    public = all(w.visibility is Visibility.PUBLIC for w in task.workloads_for(Purpose.BENCH))
    check = Check(name="bench", passed=False, status=Status.CRASHED, detail=str(error), public=public)
    return verdict.model_copy(update={"status": Status.CRASHED, "checks": (*verdict.checks, check)})
