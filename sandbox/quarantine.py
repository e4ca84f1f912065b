"""Candidates that ended a device's context are remembered by their content; one that did so twice is run no more.

A dead context takes the process along that had it, which is replaced; on a card that others share, each such fault also
disturbs them, and some end in a card that has to be reset. What is kept says for which candidate and card, how often,
and with which outcome, so that a later call gets that outcome again without running anything.
"""

from __future__ import annotations

import fcntl
import re
from pathlib import Path

from pydantic import ValidationError

from sandbox.leases import locked
from sandbox.values import Device, Execution, ExitState
from tasks.values import Value

MOST_LOSSES = 2
"""Contexts that one candidate may end on one kind of card."""


class Losses(Value):
    """What is remembered of one candidate on one kind of card."""

    count: int
    """Contexts that it ended."""
    state: ExitState
    """How the last of these calls ended."""
    message: str
    """What was said of it."""


class Quarantine:
    """The memory of one candidate on one kind of card, kept in a file that every process of this user shares.

    Parameters
    ----------
    folder
        Where such files are kept.
    candidate_hash
        `Candidate.content_hash`.
    device
        Where it runs.
    """

    def __init__(self, folder: Path, candidate_hash: str, device: Device) -> None:
        self._file = folder / re.sub(r"\W+", "-", device.model) / f"{candidate_hash}.json"

    def outcome(self) -> Execution | None:
        """Return what a call of the candidate gives while it is quarantined; None when it may run."""
        losses = self._losses()
        if losses is None or losses.count < MOST_LOSSES:
            return None
        why = (
            f"quarantined: it ended the device's context {losses.count} times, the last time so: {losses.message} "
            f"(remove {self._file} to let it run again)"
        )
        return Execution(state=losses.state, message=why)

    def note(self, execution: Execution) -> None:
        """Remember a call that ended the device's context."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._file.with_suffix(".lock"), fcntl.LOCK_EX):
            before = self._losses()
            count = (before.count if before else 0) + 1
            losses = Losses(count=count, state=execution.state, message=execution.message)
            fresh = self._file.with_suffix(".new")
            fresh.write_text(losses.model_dump_json(), encoding="utf-8")
            fresh.replace(self._file)

    def _losses(self) -> Losses | None:
        try:
            return Losses.model_validate_json(self._file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValidationError):  # one that another release wrote says nothing
            return None
