"""Which attempts become parents: the fastest always, then by speed-up with a discount for those already used.

The weight of a parent is (speed-up / best speed-up)^2 / (1 + children so far). The square keeps the pressure on
speed and is independent of the scale; the discount keeps one early winner from fathering a whole run, as
ShinkaEvolve (2025) does with its offspring count. Attempts whose sources differ only in comments or spacing count
as one, and a crossover's two parents are never such twins.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent.seeding import derive_seed
from dataset.values import AttemptRecord, Operator
from sandbox.values import Candidate
from verifier.values import Measurement

CROSSOVER_SHARE = 0.3
"""Chance of a crossover where two different parents are there (part of what a run's seed determines, so no setting)."""
PRESSURE = 2
"""Exponent of the relative speed-up."""

_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Scored:
    """An attempt that passed, with its speed-up."""

    attempt: AttemptRecord
    speedup: float
    shape: str
    """Hash of the source without comments and spacing."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An operator and the attempts that it works on."""

    operator: Operator
    parents: tuple[int, ...] = ()


def source_shape(candidate: Candidate) -> str:
    """Return a hash that two sources share when they differ in comments and white space only."""
    text = "\x1f".join(_COMMENT.sub(lambda match: match[1] or " ", file.text) for file in candidate.files)
    return hashlib.sha256("".join(text.split()).encode()).hexdigest()


def ranked(attempts: Sequence[AttemptRecord]) -> tuple[Scored, ...]:
    """Return the attempts that passed, fastest first, one per source shape.

    Only figures that compare are ranked: those of the same basis, device and fingerprint as the latest one. A
    run that goes on on another machine starts its ranking afresh.
    """
    timed = [a for a in attempts if a.verdict is not None and a.verdict.passed and a.measurement is not None]
    if not timed:
        return ()
    latest = _conditions(timed[-1].measurement)
    scored = [
        Scored(attempt=a, speedup=a.measurement.speedup, shape=source_shape(a.candidate))
        for a in timed
        if a.measurement is not None and a.candidate is not None and _conditions(a.measurement) == latest
    ]
    best_of: dict[str, Scored] = {}
    for entry in sorted(scored, key=lambda s: (-s.speedup, s.attempt.number)):
        best_of.setdefault(entry.shape, entry)
    return tuple(best_of.values())


def choose(attempts: Sequence[AttemptRecord], seed: int, generation: int, size: int) -> tuple[Choice, ...]:
    """Choose operator and parents for each slot of a generation.

    Slot 0 mutates the fastest attempt. With nothing to build on, every slot is a new translation.

    Parameters
    ----------
    attempts
        Everything before this generation, by number.
    seed
        The run's seed.
    generation
        1, 2, ...
    size
        Slots.
    """
    pool = ranked(attempts)
    if not pool:
        return (Choice(Operator.TRANSLATE),) * size
    children = dict.fromkeys((s.attempt.number for s in pool), 0)
    for attempt in attempts:
        for parent in attempt.parents:
            if parent in children:
                children[parent] += 1
    choices = []
    for slot in range(size):
        rng = random.Random(derive_seed(seed, "select", generation, slot))  # noqa: S311 - a reproducible choice
        choice = Choice(Operator.MUTATE, (pool[0].attempt.number,)) if slot == 0 else _draw(pool, children, rng)
        for parent in choice.parents:
            children[parent] += 1
        choices.append(choice)
    return tuple(choices)


def _draw(pool: Sequence[Scored], children: dict[int, int], rng: random.Random) -> Choice:
    first = _weighted(pool, children, rng)
    others = [s for s in pool if s is not first]
    if others and rng.random() < CROSSOVER_SHARE:
        second = _weighted(others, children, rng)
        return Choice(Operator.CROSSOVER, (first.attempt.number, second.attempt.number))
    return Choice(Operator.MUTATE, (first.attempt.number,))


def _weighted(pool: Sequence[Scored], children: dict[int, int], rng: random.Random) -> Scored:
    best = pool[0].speedup
    weights = [(s.speedup / best) ** PRESSURE / (1 + children[s.attempt.number]) for s in pool]
    return rng.choices(pool, weights)[0]


def _conditions(measurement: Measurement | None) -> tuple[str, str, str] | None:
    if measurement is None:
        return None
    return measurement.basis.value, measurement.device, measurement.fingerprint
