"""One container about to be started, and the process tree in it.

Its first process is `hold contain`. It connects to a socket in a folder of this run, the door, and is given over it
the descriptors that a child of ours would inherit, so that output and messages take the same ways however a command is
held. Over the same socket it says how the command ended. When our end of it is gone, also because this process was
killed, it ends, and with it, as the first of its namespace, everything in the container.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import IO

from sandbox.docker.engine import Engine
from sandbox.errors import SandboxUnavailableError
from sandbox.local_tree import was_signalled
from sandbox.process_tree import TreeUse, tree_use

logger = logging.getLogger(__name__)

_ARRIVAL_SECONDS = 30.0
"""How long the first process of a started container may take to knock; it is there within milliseconds."""
_LOOK_SECONDS = 0.25
"""Between two looks at whether it still runs."""
DOOR = "door"
"""Name of the socket in its folder."""
_CREDENTIALS = struct.Struct("3i")
"""`struct ucred`."""
_REPORT = struct.Struct("=II")
"""Status as wait(2) gives it, and an `_Ending`."""


class _Ending(IntEnum):
    """Who ended a command, as `hold.cpp` says it."""

    ITSELF = 0
    MEMORY = 1
    """The kernel, at least one of its processes, because of the bound on memory."""
    STOPPED = 2
    """The daemon, which stops."""


@dataclass(frozen=True, slots=True)
class ContainerLaunch:
    """A container that was made and not started (`sandbox.holding.Prepared`)."""

    engine: Engine
    identity: str
    door: socket.socket
    """Where its first process knocks; bound in a folder that only this run's container sees."""
    descriptors: tuple[int, ...]
    """What the command inherits besides its streams and what `start` is given; closed once it has them."""
    ready: int
    """Read end of a pipe that gets one byte once the command is held."""
    give_back: Callable[[], None]
    """Undoes what was changed on the host for this container; called once it is gone."""

    def start(self, descriptors: Sequence[int]) -> ContainerTree:
        """Start it; what was prepared for it is undone when that fails.

        Raises
        ------
        SandboxUnavailableError
            The daemon does not start it, or its first process does not knock.
        """
        with closing(self.door):
            try:
                self.engine.start(self.identity)
                control = self._admitted()
            except SandboxUnavailableError:
                self.abandon()
                raise
        return ContainerTree(self, control, self._hand_over(control, descriptors))

    def abandon(self) -> None:
        """Undo everything, as the container does not come to run."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.release()

    def release(self) -> None:
        """Remove the container and what belongs to it alone."""
        try:
            self.engine.remove(self.identity)
        except SandboxUnavailableError as error:
            # Everything in it has ended with its first process; a later sweep removes the rest.
            logger.warning("a container stays until the next start: %s", error.problem)
        os.close(self.ready)
        self.give_back()

    def _admitted(self) -> socket.socket:
        self.door.settimeout(_LOOK_SECONDS)
        end = time.monotonic() + _ARRIVAL_SECONDS
        while True:
            try:
                return self.door.accept()[0]
            except TimeoutError as error:
                if self.engine.runs(self.identity) and time.monotonic() < end:
                    continue
                said = self.engine.printed(self.identity).splitlines()[-1:] or ["nothing in the container answers"]
                raise SandboxUnavailableError(f"a sandboxed process cannot be held: {said[0]}") from error

    def _hand_over(self, control: socket.socket, descriptors: Sequence[int]) -> tuple[IO[bytes], ...]:
        """Give the first process its descriptors; returns our ends of standard error and output."""
        pipes = [os.pipe(), os.pipe()]
        given = [pipes[0][1], pipes[1][1], *descriptors, *self.descriptors]
        places = [2, 1, *descriptors, *self.descriptors]
        with suppress(OSError):  # one that is gone by now is found gone by whoever asks it
            socket.send_fds(control, [struct.pack(f"={len(places)}i", *places)], given)
        for descriptor in (pipes[0][1], pipes[1][1], *self.descriptors):
            os.close(descriptor)
        return tuple(os.fdopen(read, "rb", buffering=0) for read, _ in pipes)


class ContainerTree:
    """A container that runs (`sandbox.holding.HeldTree`). Made by `ContainerLaunch.start`."""

    def __init__(self, launch: ContainerLaunch, control: socket.socket, streams: tuple[IO[bytes], ...]) -> None:
        self.streams = streams
        self._launch = launch
        self._control = control
        self._control.setblocking(False)  # noqa: FBT003 -- the standard library's own signature
        asked = control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        self._first: int = _CREDENTIALS.unpack(asked)[0]
        self._code: int | None = None
        self._ran_out_of_memory = False

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when the command ends."""
        return self._control.fileno()

    def poll(self) -> int | None:
        """Return how the command ended, -N by signal N; None while it runs.

        Raises
        ------
        SandboxUnavailableError
            The daemon is gone, and took the container with it.
        """
        if self._code is None and self._control.fileno() >= 0:
            try:
                report = self._control.recv(_REPORT.size)
            except BlockingIOError:
                return None
            except ConnectionError:
                report = b""
            self._code = self._concluded(report)
        return self._code

    def use(self) -> TreeUse:
        """Add up what the container uses now, as far as this process sees it; its own limits hold in any case."""
        return tree_use(self._first) if self._first else TreeUse(processes=0, resident_bytes=0)

    def was_held(self) -> bool:
        """Whether the command, which has ended, had come as far as being held."""
        return was_signalled(self._launch.ready)

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel ended a process of the container because of its bound on memory."""
        self.poll()
        return self._ran_out_of_memory

    def end(self) -> None:
        """End the whole container; returns once it is gone, and what was its alone is removed."""
        self._control.close()
        self._launch.release()

    def _concluded(self, report: bytes) -> int:
        if len(report) == _REPORT.size:
            status, ending = _REPORT.unpack(report)
            if ending == _Ending.STOPPED:
                raise SandboxUnavailableError("the Docker daemon stopped while it held a process", "start it again")
            self._ran_out_of_memory = ending == _Ending.MEMORY
            return os.waitstatus_to_exitcode(status)
        # The first process itself was killed, which only the kernel or somebody outside can.
        self._ran_out_of_memory = self._launch.engine.ran_out_of_memory(self._launch.identity)
        return -signal.SIGKILL


def open_door(folder: Path) -> socket.socket:
    """Listen in a folder, for one knock by whoever sees it."""
    folder.mkdir(mode=0o711)
    folder.chmod(0o711)
    door = socket.socket(socket.AF_UNIX)
    place = folder / DOOR
    door.bind(str(place))
    place.chmod(0o777)
    door.listen(1)
    return door
