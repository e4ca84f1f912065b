"""Work on a run and die by SIGKILL at the n-th write to the archive: `killed_search.py URL RUN N before|after`."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from agent.scripted import ScriptedEvaluator, ScriptedProposer
from agent.search import run_search
from dataset.archive import Archive
from tests.agent.samples import write

WRITES = {"set_state", "set_best", "record_proposal", "record_outcome", "add_event"}


class DyingArchive:
    """Passes everything on, and ends the process at one write."""

    def __init__(self, archive: Archive, at: int, *, before: bool) -> None:
        self._archive = archive
        self._left = at
        self._before = before

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._archive, name)
        if name not in WRITES:
            return method

        def call(*args: Any, **keywords: Any) -> Any:
            self._left -= 1
            if self._left == 0 and self._before:
                os.kill(os.getpid(), signal.SIGKILL)
            result = method(*args, **keywords)
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call


if __name__ == "__main__":
    url, run_id, at, when = sys.argv[1:]
    run_search(
        DyingArchive(Archive.open(url), int(at), before=when == "before"),  # type: ignore[arg-type]
        run_id,
        ScriptedProposer(write),
        evaluator=ScriptedEvaluator(),
    )
