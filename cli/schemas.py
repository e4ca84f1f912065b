"""The JSON documents that commands print with `--json`; docs/cli.md holds their schemas."""

from __future__ import annotations

from dataset.values import AttemptRecord, RunRecord
from sandbox.evidence import Specialisation
from sandbox.occupancy import KernelOccupancy
from sandbox.values import Build, Candidate, Diagnostic, Limits
from tasks.importers.values import Imported
from tasks.values import Task, Value
from verifier.cost import WorkloadCost
from verifier.replay import Difference, Replay
from verifier.task_check import TaskReport
from verifier.values import Check, Environment, Evidence, Measurement, Stage, Status, Verdict


class VerifyReport(Value):
    """`kernelwright verify --json`: the verdict, with `passed` spelled out."""

    status: Status
    """One of the statuses of docs/verification.md."""
    passed: bool
    """Whether the candidate is accepted."""
    device: str
    """Device name."""
    task_hash: str
    candidate_hash: str
    seed: int
    """Inputs and schedules derive from it; `--replay` takes the whole file."""
    isolation: str
    """How untrusted code was held."""
    limits: Limits | None
    """What each of the two child processes could use."""
    environment: Environment | None
    """Versions and machine."""
    specialisations: tuple[Specialisation, ...] = ()
    """Triton kernels that were compiled."""
    checks: tuple[Check, ...]
    evidence: tuple[Evidence, ...]
    diagnostics: tuple[Diagnostic, ...]
    seconds: dict[Stage, float]
    """Wall seconds by stage."""
    task: Task
    """What was to be computed, so that the file alone replays the verdict."""
    candidate: Candidate
    """What was judged."""

    @classmethod
    def of(cls, verdict: Verdict, task: Task, candidate: Candidate) -> VerifyReport:
        """Flatten a verdict."""
        fields = {name: getattr(verdict, name) for name in Verdict.model_fields}
        return cls(passed=verdict.passed, task=task, candidate=candidate, **fields)

    @property
    def verdict(self) -> Verdict:
        """The verdict alone."""
        return Verdict(**{name: getattr(self, name) for name in Verdict.model_fields})


class ReplayReport(Value):
    """`kernelwright verify --replay FILE --json`."""

    identical: bool
    """Whether every check, figure and output is the same, bit for bit."""
    differences: tuple[Difference, ...]
    """What is not."""
    environment: tuple[Difference, ...]
    """Versions and machine that are not those of the record."""
    report: VerifyReport
    """The verdict of the replay."""

    @classmethod
    def of(cls, replay: Replay, task: Task, candidate: Candidate) -> ReplayReport:
        """Flatten a replay."""
        return cls(
            identical=replay.identical,
            differences=replay.differences,
            environment=replay.environment,
            report=VerifyReport.of(replay.verdict, task, candidate),
        )


class OptimizeReport(Value):
    """`kernelwright optimize --json` and `kernelwright runs show --json`."""

    run: RunRecord
    best: AttemptRecord | None
    """The fastest attempt that passed."""
    attempts: tuple[AttemptRecord, ...]
    """Every attempt, failed ones too."""


class BuildReport(Value):
    """`kernelwright build --json`."""

    ok: bool
    build: Build | None
    """None when the build failed."""
    kind: str | None = None
    """Class of the failure."""
    summary: str | None = None
    """The lines that matter."""
    log: str | None = None
    """Everything that the compiler printed."""
    occupancy: tuple[KernelOccupancy, ...] = ()
    """Theoretical occupancy of each kernel at each block size, on a card of the architecture."""


class TaskList(Value):
    """`kernelwright tasks list --json`."""

    tasks: tuple[Task, ...]


class TaskSheet(Value):
    """`kernelwright tasks show --json`: the task, and what its workloads cost at least."""

    task: Task
    costs: tuple[WorkloadCost, ...]
    """Of every workload, in the task's order."""


class TaskCheckReport(Value):
    """`kernelwright tasks check --json`."""

    passed: bool
    """Whether every check of every task held."""
    tasks: tuple[TaskReport, ...]
    """By slug."""
    seconds: float
    """Wall time."""


class ImportReport(Value):
    """`kernelwright tasks import SUITE --json`."""

    imported: tuple[Imported, ...]
    """What came of each task, in the order of the suite."""


class RunList(Value):
    """`kernelwright runs list --json`."""

    runs: tuple[RunRecord, ...]


class KernelList(Value):
    """`kernelwright kernels list --json`."""

    kernels: tuple[AttemptRecord, ...]


class DiffReport(Value):
    """`kernelwright kernels diff --json`."""

    left: str
    right: str
    diff: str
    """Unified diff of the sources."""


class BenchReport(Value):
    """`kernelwright bench --json`."""

    measurement: Measurement


class ErrorReport(Value):
    """What any command prints with `--json` when it cannot do its work."""

    error: str
    """`user` (exit code 2), `infrastructure` (3) or `candidate` (1)."""
    message: str
    """The sentence that would stand on standard error."""
