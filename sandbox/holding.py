"""How an untrusted process is held: the seam, and what every implementation of it needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from sandbox.local_tree import Launch
from sandbox.process_tree import TreeUse
from sandbox.values import Limits

PACKAGES = Path(__file__).parent.parent
"""Folder of the import packages."""

TEMPORARY = "/tmp"  # noqa: S108 -- the sandbox's own
SHARED_MEMORY = "/dev/shm"  # noqa: S108 -- likewise
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


class HeldTree(Protocol):
    """A process tree that was started held: the command, and what came of it."""

    @property
    def streams(self) -> tuple[IO[bytes], ...]:
        """Standard error, then standard output."""

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when the command ends; closed by `end`."""

    def poll(self) -> int | None:
        """Return how the command ended, -N by signal N; None while it runs.

        Raises
        ------
        InfraError
            What holds it was lost.
        """

    def use(self) -> TreeUse:
        """Add up what the tree uses now, as far as that can be seen."""

    def was_held(self) -> bool:
        """Whether the command, which has ended, had come as far as being held."""

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel ended a process of the tree because of its bound on memory."""

    def end(self) -> None:
        """End the whole tree; returns once it is gone, and what was its alone is removed. Called once."""


class Prepared(Protocol):
    """One held process about to be started."""

    def start(self, descriptors: Sequence[int]) -> HeldTree:
        """Start it; what was prepared for it is undone when that fails.

        Parameters
        ----------
        descriptors
            What it inherits besides the three standard ones, under the same numbers.

        Raises
        ------
        InfraError
            It cannot be started.
        """


class Isolation(Protocol):
    """One way to hold a process."""

    @property
    def name(self) -> str:
        """What a verdict says of it: `process`, `bubblewrap` or `docker`."""

    def launch(self, command: Sequence[str], limits: Limits, mounts: Mounts, home: Path | None = None) -> Prepared:
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
        numbers = map(str, (limits.cpu_seconds, limits.file_bytes, limits.descriptors))
        warden = [sys.executable, "-I", "-S", str(_WARDEN), *numbers]
        return Launch(command=[*warden, *command], environment=child_environment(home), folder=mounts.folder)


def child_environment(home: Path | None = None) -> dict[str, str]:
    """Return the whole environment of a sandboxed process; nothing of this process's own passes through."""
    place = str(home or "/tmp")  # noqa: S108 -- private in the sandbox
    return {
        "PATH": os.defpath.lstrip(":"),
        "LANG": "C.UTF-8",
        "HOME": place,
        "TMPDIR": place,
        # Python looks here first; the sandbox's user has no entry that it could find instead, and PyTorch asks.
        "USER": "sandbox",
        # Threads count against the limit on processes, and a reference gains nothing from more.
        "OMP_NUM_THREADS": str(min(os.cpu_count() or 1, 16)),
    }


def python_paths() -> tuple[Path, ...]:
    """Return the folders that a Python child of ours reads: the interpreter, its packages, and our rooms."""
    rooms = [PACKAGES / room for room in ("sandbox", "simgpu", "tasks")]
    return tuple(dict.fromkeys([Path(sys.prefix), Path(sys.base_prefix), *rooms]))
