"""What a process and everything below it use, read from /proc."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_PARENT_FIELD = 1
_THREADS_FIELD = 17
_RESIDENT_FIELD = 21


@dataclass(frozen=True, slots=True)
class TreeUse:
    """Use of a process tree at one moment."""

    processes: int
    """Processes and threads, the root included."""
    resident_bytes: int
    """Sum of resident memory; pages that processes share count for each."""


def tree_use(root: int) -> TreeUse:
    """Add up the processes at and below `root`; zeros when there is none."""
    stats = _stats()
    members = {root} & stats.keys()
    frontier = members
    while frontier:
        frontier = {pid for pid, fields in stats.items() if int(fields[_PARENT_FIELD]) in frontier} - members
        members = members | frontier
    return TreeUse(
        processes=sum(int(stats[pid][_THREADS_FIELD]) for pid in members),
        resident_bytes=_PAGE * sum(int(stats[pid][_RESIDENT_FIELD]) for pid in members),
    )


def children(parent: int) -> tuple[int, ...]:
    """Return the processes that `parent` started itself or adopted."""
    return tuple(pid for pid, fields in _stats().items() if int(fields[_PARENT_FIELD]) == parent)


def _stats() -> dict[int, list[str]]:
    """Fields of /proc/PID/stat after the name, by process: state is field 0."""
    stats: dict[int, list[str]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 -- sampled often; pathlib would build an object per process
        if entry.isdigit():
            with suppress(OSError):
                text = Path("/proc", entry, "stat").read_text(encoding="ascii", errors="replace")
                # The name in parentheses may hold anything, so fields count from its end.
                stats[int(entry)] = text.rpartition(")")[2].split()
    return stats
