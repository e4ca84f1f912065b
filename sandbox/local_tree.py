"""A process tree that this machine's kernel started for us: started, looked at, ended whole."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO

from sandbox.cgroup import ControlGroup
from sandbox.process_tree import TreeUse, children, tree_use
from tasks.errors import InfraError

_ENDING_SECONDS = 30.0
"""How long a tree may take to end after it was told to; a busy machine is slow to reap."""


@cache
def _spawner(process: int) -> ThreadPoolExecutor:
    """Return what starts every process of this one; a forked process has none of its parent's threads.

    A held tree dies with its parent, and to Linux the parent is the thread that started it (prctl(2),
    PR_SET_PDEATHSIG): started from a caller's short-lived thread, a child would die between two calls.
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"kernelwright-spawner-{process}")


@dataclass(frozen=True, slots=True)
class Launch:
    """One process about to be started held (`sandbox.holding.Prepared`)."""

    command: list[str]
    """Program and arguments."""
    environment: dict[str, str]
    """All of its environment."""
    folder: Path | None = None
    """Where it starts; here by default."""
    descriptors: tuple[int, ...] = ()
    """Descriptors that it inherits; closed here once it is started."""
    ready: int | None = None
    """Read end of a pipe that gets one byte once the command is held; None where nothing can fail in between."""
    group: ControlGroup | None = None
    """Control group that the process tree joins."""
    give_back: Callable[[], None] = field(default=lambda: None)
    """Undoes what was changed on the host for this process; called once its tree is gone."""

    def start(self, descriptors: Sequence[int]) -> LocalTree:
        """Start it; what was prepared for it is undone when that fails.

        Parameters
        ----------
        descriptors
            What it inherits besides.

        Raises
        ------
        InfraError
            It cannot be started.
        """
        try:
            process = (
                _spawner(os.getpid())
                .submit(
                    subprocess.Popen[bytes],
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=self.environment,
                    cwd=self.folder,
                    pass_fds=(*descriptors, *self.descriptors),
                    start_new_session=True,
                )
                .result()
            )
        except OSError as error:
            self.release()
            raise InfraError(f"a sandboxed process cannot be started: {error}") from error
        finally:
            for descriptor in self.descriptors:
                os.close(descriptor)
        return LocalTree(self, process)

    def was_held(self) -> bool:
        """Whether the command, which has ended, had come as far as being held."""
        return self.ready is None or was_signalled(self.ready)

    def release(self) -> None:
        """Remove what belongs to this process alone, once its tree is gone."""
        if self.ready is not None:
            os.close(self.ready)
        if self.group is not None:
            self.group.remove()
        self.give_back()


class LocalTree:
    """A tree whose first process is our child (`sandbox.holding.HeldTree`). Made by `Launch.start`."""

    def __init__(self, launch: Launch, process: subprocess.Popen[bytes]) -> None:
        self._launch = launch
        self._process = process
        self._ending = os.pidfd_open(process.pid)

    @property
    def streams(self) -> tuple[IO[bytes], ...]:
        """Standard error, then standard output."""
        return tuple(stream for stream in (self._process.stderr, self._process.stdout) if stream)

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when the command ends."""
        return self._ending

    def poll(self) -> int | None:
        """Return how the command ended, as `Popen.returncode` says it; None while it runs."""
        return self._process.poll()

    def use(self) -> TreeUse:
        """Add up what the tree uses now."""
        return tree_use(self._process.pid)

    def was_held(self) -> bool:
        """Whether the command, which has ended, had come as far as being held."""
        return self._launch.was_held()

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel ended a process of the tree because of its bound on memory."""
        return self._launch.group is not None and self._launch.group.ran_out_of_memory()

    def end(self) -> None:
        """End the whole tree; returns once it is gone, and what was its alone is removed."""
        if self._launch.group is not None and self._process.poll() is None:
            self._launch.group.end()
        # The warden and bubblewrap's monitor end when their child does, after everything below it is gone; told to
        # end themselves, the monitor would leave before its namespace is empty.
        if self._process.poll() is None:
            for child in children(self._process.pid) or (self._process.pid,):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        try:
            self._process.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._ending)
        self._launch.release()


def was_signalled(ready: int) -> bool:
    """Whether the byte that says that a command is held is in the pipe."""
    os.set_blocking(ready, False)
    try:
        return os.read(ready, 1) == b"1"
    except BlockingIOError:
        return False
