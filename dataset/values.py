"""What the dataset stores of a run: its configuration, its attempts with their traces, its events."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from sandbox.values import Basis, Candidate, Language
from tasks.values import Task, Value
from verifier.values import Measurement, Status, Verdict


class Operator(StrEnum):
    """How a proposal comes about."""

    TRANSLATE = "translate"
    """From the task alone."""
    REPAIR = "repair"
    """From a candidate that failed, with its classified error."""
    MUTATE = "mutate"
    """From one parent that passed, for speed."""
    CROSSOVER = "crossover"
    """From two parents that passed."""


class Message(Value):
    """One chat message."""

    role: str
    """`system`, `user` or `assistant`."""
    content: str
    """Text."""


class TraceKind(StrEnum):
    """Who produced a trace; only a model's reasoning may be exported as reasoning."""

    MODEL = "model"
    OFFLINE = "offline"


class Trace(Value):
    """How a proposal was reached."""

    kind: TraceKind
    """Model or offline."""
    model: str
    """Model identifier, or `offline`."""
    messages: tuple[Message, ...]
    """Prompt and reply; for the offline proposer the schedule that it chose."""
    reasoning: str = ""
    """The model's reasoning, apart from the reply; empty for the offline proposer."""
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float = 0.0
    """Price of the calls, 0 where the model has no known price."""
    finish_reason: str = ""
    """As the endpoint gave it: `stop`, `length`, ..."""
    seconds: float = 0.0


class RunState(StrEnum):
    """Life of a run."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunConfig(Value):
    """Everything that determines a run; the same configuration gives the same attempts (offline proposer)."""

    task: Task
    """The task, whole: a run never depends on a file that may change."""
    device: str
    """Device name, for instance `sim:h100`."""
    model: str
    """Proposer: `offline` or a model identifier."""
    language: Language = Language.CUDA
    """What candidates are to be written in."""
    samples: int = Field(default=4, ge=1)
    """Translations asked for in generation 0."""
    repairs: int = Field(default=2, ge=0)
    """Repair turns allowed per failed translation."""
    generations: int = Field(default=3, ge=0)
    """Evolution steps after the translation."""
    population: int = Field(default=4, ge=1)
    """Candidates per evolution step."""
    seed: int
    """Drives every random choice of the run."""
    budget_usd: float | None = Field(default=None, ge=0)
    """Stop before a model call once this much was spent; None: no limit."""
    budget_tokens: int | None = Field(default=None, ge=0)
    """Stop before a model call once this many tokens were used; None: no limit."""
    max_seconds: float | None = Field(default=None, gt=0)
    """Stop starting new attempts after this many seconds; None: no limit."""


class RunRecord(Value):
    """A run as the dataset knows it."""

    id: str
    """Short identifier."""
    config: RunConfig
    state: RunState
    message: str = ""
    """Why it ended, when it did not simply finish."""
    created_at: datetime
    finished_at: datetime | None = None
    best_attempt: int | None = None
    """Number of the fastest attempt that passed."""


class AttemptRecord(Value):
    """One attempt: the proposal as soon as it exists, the verdict once it is known."""

    run_id: str
    number: int
    """Position in the run, the same on every repetition of the same seed."""
    generation: int
    """0 for translation and its repairs, then 1, 2, ..."""
    operator: Operator
    parents: tuple[int, ...] = ()
    """Attempt numbers in the same run."""
    candidate: Candidate | None
    problem: str = ""
    """Why there is no candidate."""
    trace: Trace
    verdict: Verdict | None = None
    """None until the attempt was evaluated, or when there is no candidate."""
    measurement: Measurement | None = None
    """None unless the verdict is `passed`."""
    created_at: datetime


class BestFigure(Value):
    """The speed-up of a run's fastest attempt, for listings."""

    run_id: str
    attempt: int
    speedup: float
    """Over eager PyTorch; comparable only within one basis and device."""
    basis: Basis


class Counts(Value):
    """How much the archive holds."""

    tasks: int
    runs: int
    attempts: int
    statuses: dict[Status, int]
    """Attempts by the status of their verdict."""

    @property
    def passed(self) -> int:
        """Attempts that passed."""
        return self.statuses.get(Status.PASSED, 0)


class RunEvent(Value):
    """A step of progress, for a person who watches."""

    run_id: str
    sequence: int
    """Increases within the run."""
    kind: str
    """`state`, `proposed`, `evaluated`, `generation`, `best`, `note`."""
    text: str
    """One sentence."""
    attempt: int | None = None
    created_at: datetime
