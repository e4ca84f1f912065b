"""What a held process prints: drained while it runs, bounded, never trusted."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import IO

_KEPT_BYTES = 64 << 10
_READS = 32
"""Reads before the limits are looked at again; more than a pipe holds."""


class OutputTail:
    """Keeps the end of a pipe's text without ever waiting for it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._data = bytearray()
        os.set_blocking(stream.fileno(), False)

    @property
    def text(self) -> str:
        """What is kept, as text."""
        return self._data.decode(errors="replace").strip()

    def drain(self) -> None:
        """Read what is there."""
        if self._stream.closed:
            return
        # A process may print faster than this reads; what is left waits in the pipe for the next time.
        with suppress(BlockingIOError):
            for _ in range(_READS):
                self._data += os.read(self._stream.fileno(), _KEPT_BYTES)
                del self._data[:-_KEPT_BYTES]

    def close(self) -> None:
        """Read what is left and close."""
        self.drain()
        self._stream.close()
