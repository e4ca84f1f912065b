"""What a sandboxed process has written on the host's disk, looked at while it runs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from sandbox.values import Limits

_INTERVAL_SECONDS = 0.5
_BLOCK_BYTES = 512


class DiskWatch:
    """Compares folders with what they may grow to.

    Parameters
    ----------
    folders
        Where the process may write.
    limits
        `disk_bytes` and `files` bound all of them together.
    """

    def __init__(self, folders: Sequence[Path], limits: Limits) -> None:
        self._folders = folders
        self._limits = limits
        self._next = 0.0

    def excess(self) -> str:
        """Say which limit is broken, empty when none is; looks at most once per interval."""
        if not self._folders or time.monotonic() < self._next:
            return ""
        used = 0
        for files, size in enumerate(self._sizes(), start=1):
            used += size
            if used > self._limits.disk_bytes:
                return f"it wrote more than {self._limits.disk_bytes >> 20} MiB"
            if files > self._limits.files:
                return f"it made more than {self._limits.files} files"
        self._next = time.monotonic() + _INTERVAL_SECONDS
        return ""

    def _sizes(self) -> Iterator[int]:
        for folder in self._folders:
            for place, _, files in os.walk(folder):
                for name in (".", *files):
                    with suppress(OSError):  # it may be gone by now
                        yield Path(place, name).lstat().st_blocks * _BLOCK_BYTES
