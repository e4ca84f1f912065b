"""The real laboratory: the sandbox's compilers, child processes and devices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import Lock
from typing import Self

from sandbox.build import build
from sandbox.candidate import open_candidate
from sandbox.cards import card_figures
from sandbox.reference import EagerSession, ReferenceSession, open_eager, open_reference
from sandbox.settings import SandboxSettings
from sandbox.values import Build, Candidate, Device, Limits
from simgpu.specs import DeviceSpec
from tasks.values import Task
from verifier.laboratory import CandidateRunner


class SandboxLaboratory:
    """Builds for the device's architecture and opens one sandboxed child each for candidate and reference.

    A context manager. A reference's child, and the one that times it on a GPU, are kept until the block ends and serve
    the task's next candidate, since starting PyTorch costs more than most verdicts; a candidate's child never serves
    another candidate.

    Parameters
    ----------
    settings
        The sandbox's; read from the file and the environment when None.
    """

    def __init__(self, settings: SandboxSettings | None = None) -> None:
        self._settings = settings
        self._opened = ExitStack()
        self._idle: defaultdict[tuple[str, Limits | None], list[ReferenceSession]] = defaultdict(list)
        self._timers: dict[tuple[str, str, Limits | None], EagerSession] = {}
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def figures(self, device: Device) -> DeviceSpec:
        """Look a simulated card up; ask the driver of a real one."""
        return card_figures(device)

    def prepare(self, task: Task) -> None:
        """Start a reference's child, unless one is there: it loads PyTorch while the caller does other work."""
        idle = self._idle[task.content_hash, None]
        with self._lock:
            if not idle:
                idle.append(self._opened.enter_context(open_reference(task, settings=self._settings)))

    def build(self, candidate: Candidate, device: Device) -> Build:
        """Build, or take the build from the cache; BuildError when the candidate does not build."""
        return build(candidate, device.arch, self._settings)

    def candidate(self, build: Build, device: Device, limits: Limits | None) -> AbstractContextManager[CandidateRunner]:
        """Open the child that loads the candidate."""
        return open_candidate(build, device, limits=limits, settings=self._settings)

    @contextmanager
    def reference(self, task: Task, limits: Limits | None) -> Iterator[ReferenceSession]:
        """Give a child that executes the reference, to one caller at a time."""
        idle = self._idle[task.content_hash, limits]
        with self._lock:
            session = (
                idle.pop()
                if idle
                else self._opened.enter_context(open_reference(task, limits=limits, settings=self._settings))
            )
        try:
            yield session
        finally:
            # Also after a rejected candidate: a session starts a fresh child by itself when its own has failed.
            idle.append(session)

    @contextmanager
    def eager(self, task: Task, device: Device, limits: Limits | None) -> Iterator[EagerSession]:
        """Give the child that times the reference; one is enough, since a GPU is timed by one caller at a time."""
        key = (task.content_hash, device.name, limits)
        if key not in self._timers:
            opened = open_eager(task, device, limits=limits, settings=self._settings)
            self._timers[key] = self._opened.enter_context(opened)
        yield self._timers[key]
