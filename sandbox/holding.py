"""How an untrusted process is held: the seam, and what every implementation of it needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sandbox.cgroup import ControlGroup
from sandbox.values import Limits

PACKAGES = Path(__file__).parent.parent
"""Folder of the import packages."""

_WARDEN = Path(__file__).with_name("warden.py")


@dataclass(frozen=True, slots=True)
class Mounts:
    """Which paths a sandboxed process needs, beyond the system and Python."""

    readable: tuple[Path, ...] = ()
    """Files and folders that it may read."""
    writable: tuple[Path, ...] = ()
    """Folders that it may write."""
    folder: Path | None = None
    """Folder in which it starts; its private temporary folder by default."""
    gpu: bool = False
    """Whether it needs the NVIDIA device files."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One process about to be started held."""

    command: list[str]
    """Program and arguments."""
    environment: dict[str, str]
    """All of its environment."""
    descriptors: tuple[int, ...] = ()
    """Descriptors that it inherits; closed here once it is started."""
    ready: int | None = None
    """Read end of a pipe that gets one byte once the command is held; None where nothing can fail in between."""
    group: ControlGroup | None = None
    """Control group that the process tree joins."""
    give_back: Callable[[], None] = field(default=lambda: None)
    """Undoes what was changed on the host for this process; called once its tree is gone."""

    def started(self) -> None:
        """Close our copies of what it inherits."""
        for descriptor in self.descriptors:
            os.close(descriptor)

    def was_held(self) -> bool:
        """Whether the command, which has ended, had come as far as being held."""
        if self.ready is None:
            return True
        os.set_blocking(self.ready, False)
        try:
            return os.read(self.ready, 1) == b"1"
        except BlockingIOError:
            return False

    def release(self) -> None:
        """Remove what belongs to this process alone, once its tree is gone."""
        if self.ready is not None:
            os.close(self.ready)
        if self.group is not None:
            self.group.remove()
        self.give_back()


class Isolation(Protocol):
    """One way to hold a process."""

    @property
    def name(self) -> str:
        """What a verdict says of it: `process` or `bubblewrap`."""

    def launch(self, command: Sequence[str], limits: Limits, mounts: Mounts, home: Path | None = None) -> Launch:
        """Prepare to run `command` held.

        Parameters
        ----------
        command
            Program and arguments.
        limits
            What it may use.
        mounts
            Paths that it needs.
        home
            Its home and temporary folder where the isolation has no private one.

        Raises
        ------
        InfraError
            What holds it cannot be prepared.
        """


class ProcessIsolation:
    """A session, limits and a reaper, and nothing else; see `sandbox.warden`."""

    name = "process"

    def launch(self, command: Sequence[str], limits: Limits, mounts: Mounts, home: Path | None = None) -> Launch:
        """Run the command below a warden that ends all of its descendants."""
        del mounts  # the whole file system is visible
        numbers = map(str, (limits.cpu_seconds, limits.file_bytes, limits.descriptors))
        warden = [sys.executable, "-I", "-S", str(_WARDEN), *numbers]
        return Launch(command=[*warden, *command], environment=child_environment(home))


def child_environment(home: Path | None = None) -> dict[str, str]:
    """Return the whole environment of a sandboxed process; nothing of this process's own passes through."""
    place = str(home or "/tmp")  # noqa: S108 -- private in the sandbox
    return {
        "PATH": os.defpath.lstrip(":"),
        "LANG": "C.UTF-8",
        "HOME": place,
        "TMPDIR": place,
        # Threads count against the limit on processes, and a reference gains nothing from more.
        "OMP_NUM_THREADS": str(min(os.cpu_count() or 1, 16)),
    }


def python_paths() -> tuple[Path, ...]:
    """Return the folders that a Python child of ours reads: the interpreter, its packages, and our rooms."""
    rooms = [PACKAGES / room for room in ("sandbox", "simgpu", "tasks")]
    return tuple(dict.fromkeys([Path(sys.prefix), Path(sys.base_prefix), *rooms]))
