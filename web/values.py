"""What the JSON API takes and gives beyond the values of the other rooms."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from dataset.values import AttemptRecord, BestFigure, RunRecord, RunState
from sandbox.values import Finding
from tasks.values import Direction, Value

LARGEST_SOURCE = 1 << 18
"""Characters of an op's source that are accepted."""


class ErrorKind(StrEnum):
    """What went wrong, for programs."""

    NOT_FOUND = "not_found"
    INVALID = "invalid"
    """The request does not have the documented form."""
    USER = "user"
    """The request was understood and cannot be met; the message says why and what to do."""
    FORBIDDEN = "forbidden"
    """The request comes from another site, or by a host name that this server does not answer to."""
    METHOD = "method_not_allowed"
    INFRA = "infra"
    """The machine is at fault; the same request may succeed later."""
    INTERNAL = "internal"
    """A fault of Kernelwright's own; the server's log has the details."""


class Problem(Value):
    """One error."""

    kind: ErrorKind
    """What went wrong, for programs."""
    message: str
    """What went wrong, for people: one sentence."""
    remedy: str | None = None
    """What to do about it, where `message` does not say."""


class ErrorEnvelope(Value):
    """The body of every response that is not a success."""

    error: Problem
    """The one error."""


class RunRequest(Value):
    """A run to start: an op as source, or a task of the library."""

    source: str | None = Field(default=None, max_length=LARGEST_SOURCE)
    """Python source of the op; give this or `task`."""
    filename: str = Field(default="op.py", max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*\.py$")
    """Name of the source's file; the task is called after it."""
    task: str | None = Field(default=None, max_length=100, pattern=r"^[a-z0-9][a-z0-9_-]*$")
    """Slug of a library task; give this or `source`."""
    device: str = Field(default="auto", max_length=100)
    """`auto`, `sim:h100`, `cuda:0`, ..."""
    model: str | None = Field(default=None, max_length=200)
    """`offline`, or a model of the configured endpoint; None takes the configured one."""
    samples: int = Field(default=4, ge=1, le=64)
    """Translations asked for before the evolution."""
    generations: int = Field(default=2, ge=0, le=100)
    """Evolution steps after the translation."""
    population: int = Field(default=4, ge=1, le=64)
    """Candidates per evolution step."""
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    """Drives every random choice; drawn and recorded when None."""
    budget_usd: float | None = Field(default=None, ge=0)
    """Stop before a model call past this sum."""
    budget_tokens: int | None = Field(default=None, ge=0)
    """Stop before a model call past this many tokens."""
    max_seconds: float | None = Field(default=None, gt=0)
    """Start no new attempt after this time."""

    @model_validator(mode="after")
    def _one_op(self) -> Self:
        if (self.source is None) == (self.task is None):
            msg = "give the op's source or the name of a library task, one of the two"
            raise ValueError(msg)
        return self


class RunSummary(Value):
    """A run in a listing."""

    id: str
    task: str
    """Slug."""
    title: str
    device: str
    model: str
    state: RunState
    message: str
    created_at: datetime
    finished_at: datetime | None
    best: BestFigure | None
    """The fastest attempt that passed, so far."""


class RunList(Value):
    """`GET /api/runs`."""

    runs: tuple[RunSummary, ...]


class AttemptList(Value):
    """`GET /api/runs/{run_id}/attempts`."""

    attempts: tuple[AttemptRecord, ...]


class KernelSummary(Value):
    """A kernel in a listing."""

    name: str
    """`RUN:NUMBER`, as the command line takes it."""
    run_id: str
    attempt: int
    task: str
    """Slug."""
    model: str
    status: str
    """Status of the verdict, or `not_evaluated`."""
    device: str | None
    basis: str | None
    """`measured` or `modelled`."""
    speedup: float | None
    """Over eager PyTorch; comparable only within one task, basis and device."""


class KernelList(Value):
    """`GET /api/kernels`."""

    kernels: tuple[KernelSummary, ...]


class KernelDiff(Value):
    """`GET /api/kernels/diff`."""

    left: str
    right: str
    diff: str
    """Unified diff, empty when the sources are equal."""


class TaskSummary(Value):
    """A library task in a listing."""

    slug: str
    title: str
    direction: Direction
    licence: str


class TaskList(Value):
    """`GET /api/tasks`."""

    tasks: tuple[TaskSummary, ...]


class DeviceList(Value):
    """`GET /api/devices`."""

    devices: tuple[str, ...]


class Health(Value):
    """`GET /api/health`."""

    healthy: bool
    """Whether nothing that is required is missing."""
    version: str
    findings: tuple[Finding, ...]


def run_summary(run: RunRecord, best: BestFigure | None) -> RunSummary:
    """Return the listing's view of a run."""
    return RunSummary(
        id=run.id,
        task=run.config.task.slug,
        title=run.config.task.title,
        device=run.config.device,
        model=run.config.model,
        state=run.state,
        message=run.message,
        created_at=run.created_at,
        finished_at=run.finished_at,
        best=best,
    )


def kernel_summary(attempt: AttemptRecord, task: str) -> KernelSummary:
    """Return the listing's view of a kernel."""
    verdict, measurement = attempt.verdict, attempt.measurement
    return KernelSummary(
        name=f"{attempt.run_id}:{attempt.number}",
        run_id=attempt.run_id,
        attempt=attempt.number,
        task=task,
        model=attempt.trace.model,
        status="not_evaluated" if verdict is None else verdict.status.value,
        device=None if verdict is None else verdict.device,
        basis=None if measurement is None else measurement.basis.value,
        speedup=None if measurement is None else measurement.speedup,
    )
