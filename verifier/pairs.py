"""A candidate's own forward and backward together: what its forward returned goes into its backward.

A backward task gives a candidate the reference's saved tensors, so a pair that is right in each half could still not
fit together: another rounding, another order of axes. Where a candidate for a backward task defines `forward` as well,
both run as they would in training, and the gradients must lie within the same tolerance.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sandbox.values import Candidate, Execution, Tensor
from tasks.values import Direction, Task, Workload
from verifier.checks import check, judge, until_failed
from verifier.draws import Draw, prepare
from verifier.guard import defines
from verifier.inputs import Distribution
from verifier.laboratory import CandidateRunner, ReferenceRunner
from verifier.tolerance import Unsuitable
from verifier.values import Check

FORWARD: Final = "forward"
_RESULT: Final = re.compile(r"output(?:\.(?P<number>\d+))?")
"""How a backward task names a result of the forward among what it saves."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The forward half of a backward task's candidate, and which of its results the backward half receives."""

    task: Task
    """The task of the forward half."""
    candidate: Candidate
    results: tuple[int | None, ...]
    """For each saved tensor the number of the forward's result that it is; None for an input or a parameter."""


def pair_of(task: Task, candidate: Candidate) -> Pair | None:
    """Return the forward half, None where the candidate defines none or the backward takes no result of it."""
    results = tuple(map(_result_number, task.saved))
    fits = task.direction is Direction.BACKWARD and any(number is not None for number in results)
    if not fits or candidate.entry == FORWARD or not defines(candidate, FORWARD):
        return None
    forward = task.model_copy(update={"direction": Direction.FORWARD, "saved": (), "gradients": ()})
    return Pair(forward, candidate.model_copy(update={"entry": FORWARD}), results)


@dataclass(frozen=True, slots=True)
class Half:
    """One half of a pair, opened."""

    task: Task
    reference: ReferenceRunner
    candidate: CandidateRunner
    kernels: frozenset[str]


def judge_pair(pair: Pair, forward: Half, backward: Half, workload: Workload, seed: int) -> Iterator[Check]:
    """Yield the checks of both halves on one draw; the first that fails is the last.

    Raises
    ------
    UserError
        The reference fails on these values.
    """
    draws = [prepare(half.reference, half.task, workload, Distribution.NORMAL, seed) for half in (forward, backward)]
    if any(isinstance(draw, Unsuitable) for draw in draws):
        return
    first, second = (draw for draw in draws if isinstance(draw, Draw))
    made = forward.candidate.call(first.arguments)
    found = _named(first, "forward", made, forward.kernels)
    yield found
    if not found.passed:
        return
    given = replace(second, arguments=_with_results(second.arguments, pair.results, made.outputs))
    yield _named(given, "forward and backward", backward.candidate.call(given.arguments), backward.kernels)


def _named(draw: Draw, name: str, execution: Execution, kernels: frozenset[str]) -> Check:
    last = until_failed(judge(draw, execution, kernels))[-1]
    return check(draw, name, last.status, "right values" if last.passed else last.detail, execution.outputs)


def _with_results(
    arguments: Sequence[Tensor], results: Sequence[int | None], outputs: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Return a backward's arguments with the candidate's own results among the saved tensors, which come last."""
    gradients = len(arguments) - len(results)
    saved = zip(arguments[gradients:], results, strict=True)
    return (*arguments[:gradients], *(kept if number is None else outputs[number] for kept, number in saved))


def _result_number(name: str) -> int | None:
    named = _RESULT.fullmatch(name)
    return None if named is None else int(named["number"] or 0)
