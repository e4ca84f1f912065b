"""What a run asks for next: a pure function of its configuration and of the attempts before.

A run is a series of rounds. A round is a set of steps that do not depend on each other; each step becomes one
attempt, and its number is known before anything is asked. Replaying the plan over what is recorded therefore leads
to the first step that is missing, which is all that resuming needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agent.seeding import derive_seed
from agent.selection import Choice, choose
from dataset.values import AttemptRecord, Operator, RunConfig


@dataclass(frozen=True, slots=True)
class Step:
    """One attempt that is to be made."""

    number: int
    generation: int
    slot: int
    """Position within the generation."""
    turn: int
    """0, then 1, 2, ... for repairs and new samples of the same slot."""
    operator: Operator
    parents: tuple[int, ...]
    ordinal: int
    """How many earlier steps of the run had the same operator and parents."""
    seed: int
    """The proposer's seed."""


def open_generation(config: RunConfig, generation: int, history: Sequence[AttemptRecord]) -> tuple[Step, ...]:
    """Return the first round of a generation: translations in generation 0, then the selection's choices."""
    if generation == 0:
        choices: tuple[Choice, ...] = (Choice(Operator.TRANSLATE),) * config.samples
    else:
        choices = choose(history, config.seed, generation, config.population)
    return _number(config, generation, 0, tuple(enumerate(choices)), history)


def follow_up(config: RunConfig, steps: Sequence[Step], history: Sequence[AttemptRecord]) -> tuple[Step, ...]:
    """Return the round after `steps`: another turn for each slot that may still come to something.

    A translation that failed is repaired. A step that gave no candidate (truncated reply, no code) is asked for
    again as a new sample, whatever its operator. Both count against `RunConfig.repairs`.
    """
    if not steps or steps[0].turn >= config.repairs:
        return ()
    by_number = {attempt.number: attempt for attempt in history}
    choices = []
    for step in steps:
        choice = _second_chance(step, by_number[step.number])
        if choice is not None:
            choices.append((step.slot, choice))
    return _number(config, steps[0].generation, steps[0].turn + 1, tuple(choices), history)


def _second_chance(step: Step, attempt: AttemptRecord) -> Choice | None:
    if attempt.candidate is None:
        return Choice(step.operator, step.parents)
    translating = step.operator in {Operator.TRANSLATE, Operator.REPAIR}
    if translating and attempt.verdict is not None and not attempt.verdict.passed:
        return Choice(Operator.REPAIR, (attempt.number,))
    return None


def _number(
    config: RunConfig,
    generation: int,
    turn: int,
    choices: Sequence[tuple[int, Choice]],
    history: Sequence[AttemptRecord],
) -> tuple[Step, ...]:
    asked = Counter((attempt.operator, attempt.parents) for attempt in history)
    steps = []
    for offset, (slot, choice) in enumerate(choices):
        steps.append(
            Step(
                number=len(history) + offset,
                generation=generation,
                slot=slot,
                turn=turn,
                operator=choice.operator,
                parents=choice.parents,
                ordinal=asked[choice.operator, choice.parents],
                seed=derive_seed(config.seed, "propose", generation, slot, turn),
            )
        )
        asked[choice.operator, choice.parents] += 1
    return tuple(steps)
