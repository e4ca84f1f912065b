"""Trying an evaluation again when the machine failed, never when the candidate did."""

from __future__ import annotations

import time

from agent.values import Evaluator, Outcome
from sandbox.values import Candidate
from tasks.errors import InfraError
from tasks.values import Task, Value
from verifier.values import Status, Verdict


class Evaluated(Value):
    """An outcome, and the machine's failures on the way to it."""

    outcome: Outcome
    failures: tuple[str, ...] = ()
    same_as: int | None = None
    """The earlier attempt with the same source, whose outcome this is."""


def evaluate_with_retries(
    evaluator: Evaluator,
    task: Task,
    candidate: Candidate,
    device: str,
    seed: int,
    *,
    retries: int,
    wait_seconds: float,
) -> Evaluated:
    """Evaluate, trying again when the machine failed rather than the candidate.

    Raises
    ------
    InfraError
        Every try failed for the machine's fault; the message holds the last reason.
    """
    failures: list[str] = []
    while True:
        try:
            outcome = evaluator.evaluate(task, candidate, device, seed)
        except InfraError as error:
            failures.append(str(error))
        else:
            if outcome.verdict.status is not Status.INFRA_ERROR:
                return Evaluated(outcome=outcome, failures=tuple(failures))
            failures.append(_reason(outcome.verdict))
        if len(failures) > retries:
            raise InfraError(f"the evaluation failed {len(failures)} times, at last with: {failures[-1]}")
        time.sleep(wait_seconds * 2 ** (len(failures) - 1))


def _reason(verdict: Verdict) -> str:
    return next((check.detail for check in verdict.checks if not check.passed and check.detail), "no reason given")
