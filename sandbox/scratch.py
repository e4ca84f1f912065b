"""Temporary folders that a crash does not leave behind: each is locked by its maker, and swept once nobody holds it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "kernelwright-run-"
_SETTLED_SECONDS = 10.0
"""Between a folder's making and its lock, another process must not take it for one that was left."""


@contextmanager
def scratch_folder(place: Path | None = None) -> Iterator[Path]:
    """Give an empty folder in `place`, by default the system's; it is removed afterwards, or by a later sweep."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep(place: Path | None = None, settled_seconds: float = _SETTLED_SECONDS) -> tuple[Path, ...]:
    """Remove this user's folders that processes which are gone left behind; returns them.

    Parameters
    ----------
    place
        Where to look; the system's temporary folder by default.
    settled_seconds
        Younger folders stay.
    """
    removed = []
    for folder in (place or Path(tempfile.gettempdir())).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another user's, or gone by now
            if _is_left(folder, settled_seconds):
                shutil.rmtree(folder)
                removed.append(folder)
    return tuple(removed)


def _is_left(folder: Path, settled_seconds: float) -> bool:
    found = folder.lstat()
    # Root lends folders to the users of its sandboxes, so any abandoned one may be its own.
    if os.geteuid() not in {0, found.st_uid} or time.time() - found.st_ctime < settled_seconds:
        return False
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
