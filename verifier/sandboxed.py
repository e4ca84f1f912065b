"""The real laboratory: the sandbox's compilers, child processes and devices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Generic, Self, TypeVar

from sandbox.build import build
from sandbox.candidate import open_candidate
from sandbox.cards import card_figures
from sandbox.reference import EagerSession, ReferenceSession, open_eager, open_reference
from sandbox.settings import SandboxSettings
from sandbox.values import Build, Candidate, Device, Limits
from simgpu.specs import DeviceSpec
from tasks.values import Task
from verifier.laboratory import CandidateRunner

Session = TypeVar("Session")
_Key = tuple[str, str, Limits | None]
"""A task's hash, the device where one matters, and what the child may use."""


@dataclass(frozen=True, slots=True)
class _Opened(Generic[Session]):
    """A child that is kept, and what ends it."""

    key: _Key
    session: Session
    end: ExitStack


class _Idle(Generic[Session]):
    """Children that wait for their next use.

    Parameters
    ----------
    most
        How many; the one used longest ago ends first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: list[_Opened[Session]] = []
        """Used last comes last."""
        self._lock = Lock()

    def take(self, key: _Key, opener: Callable[[], AbstractContextManager[Session]]) -> _Opened[Session]:
        """Take the child of a key that was used last; open one where none waits."""
        with self._lock:
            found = next((one for one in reversed(self._waiting) if one.key == key), None)
            if found is not None:
                self._waiting.remove(found)
                return found
        end = ExitStack()
        return _Opened(key, end.enter_context(opener()), end)

    def give_back(self, opened: _Opened[Session]) -> None:
        """Let a child wait for its next use."""
        with self._lock:
            self._waiting.append(opened)
        self._end_surplus()

    def close(self) -> None:
        """End all that wait; those in use end when they are given back."""
        self._most = 0
        self._end_surplus()

    def _end_surplus(self) -> None:
        with self._lock:
            surplus = self._waiting[: max(len(self._waiting) - self._most, 0)]
            del self._waiting[: len(surplus)]
        for one in surplus:
            one.end.close()


class SandboxLaboratory:
    """Builds for the device's architecture and opens one sandboxed child each for candidate and reference.

    A context manager. The children of the references used last are kept and serve their tasks' next verdicts, and so is
    the one that timed a reference on a GPU last, since starting PyTorch costs more than most verdicts; a candidate's
    child never serves another candidate.

    Parameters
    ----------
    settings
        The sandbox's; read from the file and the environment when None.
    kept
        References that wait for their task's next verdict; each holds PyTorch, some 240 MB.
    """

    def __init__(self, settings: SandboxSettings | None = None, kept: int = 4) -> None:
        self._settings = settings
        self._references = _Idle[ReferenceSession](kept)
        self._timers = _Idle[EagerSession](1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._timers.close()
        self._references.close()

    def figures(self, device: Device) -> DeviceSpec:
        """Look a simulated card up; ask the driver of a real one."""
        return card_figures(device)

    def prepare(self, task: Task) -> None:
        """Start a reference's child, unless one is there: it loads PyTorch while the caller does other work."""
        self._references.give_back(self._reference(task, None))

    def build(self, candidate: Candidate, device: Device) -> Build:
        """Build, or take the build from the cache; BuildError when the candidate does not build."""
        return build(candidate, device.arch, self._settings)

    def candidate(self, build: Build, device: Device, limits: Limits | None) -> AbstractContextManager[CandidateRunner]:
        """Open the child that loads the candidate."""
        return open_candidate(build, device, limits=limits, settings=self._settings)

    @contextmanager
    def reference(self, task: Task, limits: Limits | None) -> Iterator[ReferenceSession]:
        """Give a child that executes the reference, to one caller at a time."""
        opened = self._reference(task, limits)
        try:
            yield opened.session
        finally:
            # Also after a rejected candidate: a session starts a fresh child by itself when its own has failed.
            self._references.give_back(opened)

    @contextmanager
    def eager(self, task: Task, device: Device, limits: Limits | None) -> Iterator[EagerSession]:
        """Give a child that times the reference on a GPU, to one caller at a time."""
        key = (task.content_hash, device.name, limits)
        opened = self._timers.take(key, lambda: open_eager(task, device, limits=limits, settings=self._settings))
        try:
            yield opened.session
        finally:
            self._timers.give_back(opened)

    def _reference(self, task: Task, limits: Limits | None) -> _Opened[ReferenceSession]:
        key = (task.content_hash, "", limits)
        return self._references.take(key, lambda: open_reference(task, limits=limits, settings=self._settings))
