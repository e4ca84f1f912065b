"""Compares a verdict with an earlier one of the same task, candidate, device and seed: bit for bit the same, or not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest

from tasks.values import Value
from verifier.values import Check, Environment, Verdict

_COMPARED = ("status", "task_hash", "candidate_hash", "device", "seed", "evidence")
"""Fields that must be equal as a whole; seconds differ from run to run."""
_ADDRESS = re.compile(r"0x[0-9a-f]+")
"""Each process has its own addresses, so that of a faulty access is left out of the comparison."""
_NONE = "none"


class Difference(Value):
    """One thing in which the replay is not what was recorded."""

    where: str
    """A field of the verdict, or a check and its workload."""
    recorded: str
    """What the earlier verdict says."""
    found: str
    """What the replay says."""


class Replay(Value):
    """A verdict made again, and what came of comparing it."""

    verdict: Verdict
    """The new one."""
    differences: tuple[Difference, ...]
    """None when every check, figure and output is the same, bit for bit."""
    environment: tuple[Difference, ...]
    """Versions and machine that are not those of the record: the likely reasons of a difference."""

    @property
    def identical(self) -> bool:
        """Whether the verdict replayed bit for bit."""
        return not self.differences


def compare_verdicts(recorded: Verdict, again: Verdict) -> Replay:
    """Return where a verdict differs from the earlier one, checks with their figures and outputs included."""
    return Replay(
        verdict=again,
        differences=(*_fields(recorded, again), *_checks(recorded, again), *_diagnostics(recorded, again)),
        environment=tuple(_environment(recorded.environment, again.environment)),
    )


def _fields(recorded: Verdict, again: Verdict) -> Iterator[Difference]:
    for name in _COMPARED:
        before, after = getattr(recorded, name), getattr(again, name)
        if before != after:
            yield Difference(where=name, recorded=str(before), found=str(after))


def _checks(recorded: Verdict, again: Verdict) -> Iterator[Difference]:
    for before, after in zip_longest(recorded.checks, again.checks):
        if _comparable(before) != _comparable(after):
            known = before or after
            yield Difference(where=_place(known), recorded=_shown(before, after), found=_shown(after, before))


def _comparable(check: Check | None) -> Check | None:
    return check and check.model_copy(update={"detail": _ADDRESS.sub("", check.detail)})


def _diagnostics(recorded: Verdict, again: Verdict) -> Iterator[Difference]:
    before, after = (
        tuple(one.model_copy(update={"message": _ADDRESS.sub("", one.message)}) for one in verdict.diagnostics)
        for verdict in (recorded, again)
    )
    if before != after:
        yield Difference(where="diagnostics", recorded=str(before), found=str(after))


def _place(check: Check) -> str:
    return f"{check.name} at {check.workload}" if check.workload else check.name


def _shown(check: Check | None, other: Check | None) -> str:
    """Return what a check says, and its outputs' hashes where only these differ."""
    if check is None:
        return _NONE
    text = f"{check.name}: {check.detail}"
    only_outputs = other is not None and check.model_copy(update={"outputs": other.outputs}) == other
    return f"{text}; outputs {' '.join(check.outputs)}" if only_outputs else text


def _environment(recorded: Environment | None, again: Environment | None) -> Iterator[Difference]:
    for name in Environment.model_fields:
        before, after = (str(getattr(one, name, "unknown")) for one in (recorded, again))
        if before != after:
            yield Difference(where=name, recorded=before, found=after)
