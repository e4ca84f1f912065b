"""The worker process beside the web server: started with it, started again if it dies, stopped with it."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

logger = logging.getLogger(__name__)

STOP_SECONDS = 15.0
_SHORT_LIFE_SECONDS = 20.0
_SHORT_LIVES = 3


class Worker:
    """One worker process, as a context manager.

    Parameters
    ----------
    command
        Its command line.
    stop_seconds
        How long it may take to stop. A worker stops between two attempts; one that takes longer is killed, and
        its run goes on next time.
    """

    def __init__(self, command: Sequence[str], *, stop_seconds: float = STOP_SECONDS) -> None:
        self._command = list(command)
        self._stop_seconds = stop_seconds
        self._stopping = threading.Event()
        self._process = self._start()
        self._watcher = threading.Thread(target=self._watch, name="worker-watcher", daemon=True)

    @property
    def pid(self) -> int:
        """Process identifier of the present worker."""
        return self._process.pid

    def __enter__(self) -> Self:
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ask the worker to stop, and kill it with its children when it does not."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        try:
            self._watcher.join(self._stop_seconds)
        finally:
            # Also when a second Ctrl-C cuts the wait short.
            self._signal(signal.SIGKILL)
        self._watcher.join()

    def _start(self) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C in a terminal reaches only the server, which then stops the worker in order.
        return subprocess.Popen(self._command, stdin=subprocess.DEVNULL, start_new_session=True)

    def _watch(self) -> None:
        short_lives = 0
        while True:
            started = time.monotonic()
            code = self._process.wait()
            if self._stopping.is_set():
                return
            short_lives = short_lives + 1 if time.monotonic() - started < _SHORT_LIFE_SECONDS else 1
            if short_lives > _SHORT_LIVES:
                logger.error("the worker ended at once %d times: runs stay queued; see its messages above", short_lives)
                return
            logger.warning("the worker ended (exit code %d) and is started again", code)
            self._process = self._start()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                return  # it ended in this very moment
