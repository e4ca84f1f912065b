"""Locks by flock(2) on files and folders: they end with their process, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import InfraError


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keep a folder from being thrown away, for as long as the block and this process last.

    Raises
    ------
    InfraError
        It was thrown away already.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError as error:
        raise InfraError(f"{folder} is gone from the build cache; build the candidate again") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def is_held(folder: Path) -> bool:
    """Tell whether a process holds a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def locked(file: Path, kind: int) -> Iterator[None]:
    """Hold a lock file, made when it is missing; `kind` is `fcntl.LOCK_SH` or `fcntl.LOCK_EX`."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
