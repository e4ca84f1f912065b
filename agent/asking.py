"""From a step of the plan to what a proposer is asked, with nothing in it that the proposer must not know."""

from __future__ import annotations

from collections.abc import Mapping

from agent.feedback import feedback_for
from agent.plan import Step
from agent.redaction import public_measurement, public_task, public_verdict
from agent.values import Parent, ProposalRequest
from dataset.values import AttemptRecord, RunConfig
from tasks.errors import InfraError
from tasks.values import Task


def request_for(step: Step, config: RunConfig, attempts: Mapping[int, AttemptRecord]) -> ProposalRequest:
    """Return the request of one step.

    Raises
    ------
    InfraError
        A parent is missing or was never judged: the archive was changed from outside.
    """
    parents = tuple(_parent(number, config.task, attempts) for number in step.parents)
    return ProposalRequest(
        task=public_task(config.task),
        device=config.device,
        language=config.language,
        operator=step.operator,
        parents=parents,
        feedback="\n\n".join(feedback_for(parent) for parent in parents),
        seed=step.seed,
        ordinal=step.ordinal,
    )


def _parent(number: int, task: Task, attempts: Mapping[int, AttemptRecord]) -> Parent:
    attempt = attempts.get(number)
    if attempt is None or attempt.candidate is None or attempt.verdict is None:
        raise InfraError(f"attempt {number} is a parent and was never judged: the archive was changed from outside")
    measurement = attempt.measurement
    return Parent(
        attempt=number,
        candidate=attempt.candidate,
        verdict=public_verdict(attempt.verdict, task),
        measurement=None if measurement is None else public_measurement(measurement, task),
    )
