"""What proposers and evaluators exchange with the search: requests, proposals and outcomes."""

from __future__ import annotations

from typing import Protocol

from dataset.values import Operator, Trace
from sandbox.values import Candidate, Language
from tasks.values import Task, Value
from verifier.values import Measurement, Verdict

OFFLINE = "offline"
"""`RunConfig.model` of the proposer that needs no model."""


class Proposal(Value):
    """A proposer's answer. Without a candidate it is still recorded, with the reason."""

    operator: Operator
    candidate: Candidate | None
    trace: Trace
    problem: str = ""
    """Why there is no candidate: no code block, truncated reply, the endpoint's failure."""


class Parent(Value):
    """An earlier attempt as a proposer may see it: hidden workloads' details are already removed."""

    attempt: int
    """Attempt number within the run."""
    candidate: Candidate
    verdict: Verdict
    measurement: Measurement | None = None


class ProposalRequest(Value):
    """What the search asks of a proposer."""

    task: Task
    """The public view: hidden workloads are removed."""
    device: str
    """Target device name."""
    language: Language = Language.CUDA
    """What the candidate is to be written in."""
    operator: Operator
    parents: tuple[Parent, ...] = ()
    """Repair: the failed attempt. Mutate: one. Crossover: two."""
    feedback: str = ""
    """Classified error and its few lines, or the cost model's counters, for the prompt."""
    seed: int
    """Drives every random choice; the same request gives the same offline proposal."""
    ordinal: int = 0
    """Position among the samples asked for from the same state, so that k samples differ."""


class Proposer(Protocol):
    """Anything that writes candidates; one that asks a model is called from several threads at once."""

    @property
    def name(self) -> str:
        """Identifier recorded with every attempt."""

    def propose(self, request: ProposalRequest) -> Proposal:
        """Return one proposal.

        Raises
        ------
        UserError
            The endpoint refuses the key or does not know the model.
        InfraError
            The endpoint could not be reached after its retries.
        """


class Outcome(Value):
    """What came of one candidate."""

    verdict: Verdict
    measurement: Measurement | None = None
    """None unless the verdict is `passed`."""


class Evaluator(Protocol):
    """Anything that judges a candidate; called from several threads at once."""

    def prepare(self, task: Task) -> None:
        """Begin what the task's first evaluation will wait for, and return at once; the proposer works meanwhile."""

    def evaluate(self, task: Task, candidate: Candidate, device: str, seed: int) -> Outcome:
        """Verify a candidate and, when it passed, time it.

        Raises
        ------
        InfraError
            The machine failed; the candidate is not scored.
        UserError
            The task itself cannot be run, or the device is not there.
        """
