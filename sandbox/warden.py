"""First program of a process tree that nothing else holds: sets limits, runs the command and cleans up after it.

Run as `python -I -S warden.py CPU_SECONDS FILE_BYTES DESCRIPTORS COMMAND...` from the standard library alone, so that
it starts in milliseconds. It stays as the reaper of every descendant, and kills what is left when the command ends or
on SIGTERM.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_CHILD_SUBREAPER = 36
_SIGNALLED = 128
"""Added to a signal's number in the exit code, as shells do."""


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def _limit(cpu_seconds: int, file_bytes: int, descriptors: int) -> None:
    # None on processes: the kernel counts a user's over the whole machine.
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_CPU, cpu_seconds)
    _lower(resource.RLIMIT_FSIZE, file_bytes)
    _lower(resource.RLIMIT_NOFILE, descriptors)
    _lower(resource.RLIMIT_MSGQUEUE, 0)


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (bound, bound))


def _descendants(root: int) -> set[int]:
    """Every process below `root`, from one pass over /proc."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 -- pathlib would build an object per process on the killing path
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError):
            text = Path("/proc", entry, "stat").read_text(encoding="ascii", errors="replace")
            parents[int(entry)] = int(text.rpartition(")")[2].split()[1])
    found: set[int] = set()
    frontier = {root}
    while frontier:
        frontier = {pid for pid, parent in parents.items() if parent in frontier} - found
        found |= frontier
    return found


def _end_descendants() -> None:
    """Freeze, then kill, until nothing is left; freezing first outruns a process that keeps forking."""
    while True:
        frozen: set[int] = set()
        while fresh := _descendants(os.getpid()) - frozen:
            for pid in fresh:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGSTOP)
            frozen |= fresh
        for pid in frozen:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            while True:
                os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _supervise(command: list[str]) -> int:
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGCHLD})
        _become(command)
    # The channel must end when the command ends, so this process holds none of its descriptors.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    status = _wait(child)
    _end_descendants()
    if status is None:
        return _SIGNALLED + signal.SIGTERM
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else _SIGNALLED - code


def _wait(child: int) -> int | None:
    """Reap until the command ends (its status) or this process is told to stop (None)."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return 0
        if pid == child:
            return status
        if pid == 0 and signal.sigwait({signal.SIGTERM, signal.SIGCHLD}) == signal.SIGTERM:
            return None


def _become(command: list[str]) -> None:
    try:
        os.execv(command[0], command)  # noqa: S606 -- an argument list, no shell
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        os._exit(127)


def main(arguments: list[str]) -> int:
    """Run the command that the arguments name; returns its exit code."""
    cpu, file, descriptors, *command = arguments
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _limit(int(cpu), int(file), int(descriptors))
    return _supervise(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
