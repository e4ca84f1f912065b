"""The real evaluator: the seam between the search and the verifier."""

from __future__ import annotations

from agent.locks import held
from agent.values import Evaluator, Outcome
from sandbox.devices import parse_device
from sandbox.values import Candidate, Device, DeviceKind
from tasks.errors import CandidateError
from tasks.values import Task
from verifier.bench import bench
from verifier.values import Check, Status, Verdict
from verifier.verify import verify

__all__ = ["Evaluator", "LocalEvaluator", "Outcome"]


class LocalEvaluator:
    """The real evaluator: sandboxed verification on this machine, then the benchmark."""

    def evaluate(self, task: Task, candidate: Candidate, device: str, seed: int) -> Outcome:
        """Verify, then time what passed; see `Evaluator.evaluate`."""
        target = parse_device(device)
        if target.kind is DeviceKind.SIM:
            return self._evaluate(task, candidate, target, seed)
        # A time taken while another kernel runs on the same GPU is no measurement, whichever process started it.
        with held(f"device-{target.name}"):
            return self._evaluate(task, candidate, target, seed)

    def _evaluate(self, task: Task, candidate: Candidate, device: Device, seed: int) -> Outcome:
        verdict = verify(task, candidate, device, seed=seed)
        if not verdict.passed:
            return Outcome(verdict=verdict)
        try:
            return Outcome(verdict=verdict, measurement=bench(task, candidate, device, seed=seed))
        except CandidateError as error:
            return Outcome(verdict=_failed_in_bench(verdict, error))


def _failed_in_bench(verdict: Verdict, error: CandidateError) -> Verdict:
    """Take back a pass: a kernel that cannot be timed at the task's own sizes is not accepted."""
    check = Check(name="bench", passed=False, status=Status.CRASHED, detail=str(error), public=False)
    return verdict.model_copy(update={"status": Status.CRASHED, "checks": (*verdict.checks, check)})
