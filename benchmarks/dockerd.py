"""A Docker daemon for one test run or benchmark: its own folders and socket, no network, gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SECONDS = 120.0
_STEP_SECONDS = 0.05
# Its mounts stay out of everybody else's sight, and what the machine mounts meanwhile reaches it.
_OWN_MOUNTS = ("unshare", "--mount", "--propagation", "slave", "--")
# Without these a daemon changes the machine's firewall, routes and interfaces.
_NO_NETWORK = ("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none")


class Daemon:
    """A daemon that can be stopped and started again at the same place. Made by `private_daemon`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = f"unix://{folder / 'docker.sock'}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        folders = (f"--data-root={self.folder / 'data'}", f"--exec-root={self.folder / 'run'}")
        places = (*folders, f"--pidfile={self.folder / 'pid'}", f"--host={self.host}")
        command = [*_OWN_MOUNTS, "dockerd", *places, *_NO_NETWORK]
        with (self.folder / "log").open("ab") as log:
            # In its own session: an interrupt at the terminal reaches it through us, in order.
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + _SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"dockerd did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(_STEP_SECONDS)

    def stop(self) -> None:
        """Stop it and what it started."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        asked = ["docker", f"--host={self.host}", "version"]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0


@contextmanager
def private_daemon() -> Iterator[Daemon]:
    """Give a running daemon; needs root, and `dockerd` on PATH."""
    # A socket's path is short, and pytest's folders are long.
    folder = Path(tempfile.mkdtemp(prefix="kwd-", dir="/var/tmp"))
    daemon = Daemon(folder)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.stop()
        shutil.rmtree(folder, ignore_errors=True)


def can_start() -> bool:
    """Whether a daemon can be started here."""
    return os.geteuid() == 0 and shutil.which("dockerd") is not None
