"""Locks between processes, which the system drops when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from agent.settings import AgentSettings
from tasks.errors import InfraError


class LockHeldError(Exception):
    """Another process, or another thread of this one, holds the lock."""


@contextmanager
def held(name: str) -> Iterator[None]:
    """Hold the lock of that name, waiting for it as long as it takes."""
    with _lock_file(name) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def held_now(name: str) -> Iterator[None]:
    """Hold the lock of that name.

    Raises
    ------
    LockHeldError
        It is held by someone else.
    """
    with _lock_file(name) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeldError(name) from error
        yield


def is_held(name: str) -> bool:
    """Return whether someone holds the lock at this moment."""
    try:
        with held_now(name):
            return False
    except LockHeldError:
        return True


def _lock_file(name: str) -> IO[bytes]:
    folder: Path = AgentSettings.load().state_dir / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / name.replace("/", "_")).open("ab")
    except OSError as error:
        raise InfraError(f"cannot write a lock in {folder}: {error.strerror}; set KERNELWRIGHT_STATE_DIR") from error
