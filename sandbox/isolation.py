"""How an untrusted process is held: the seam, and its two implementations.

`process` gives a session of its own, limits and a reaper, and nothing else: files and the network stay reachable.
`bubblewrap` adds namespaces: no network, no view of other processes, a read-only system, a private /tmp.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from sandbox.settings import IsolationChoice
from sandbox.values import Limits
from tasks.errors import InfraError

_WARDEN = Path(__file__).with_name("warden.py")
_SELF_TEST = Path(__file__).with_name("self_test.py")
_SELF_TEST_SECONDS = 20.0
_TMP_BYTES = 512 << 20

PACKAGES = Path(__file__).parent.parent
"""Folder of the import packages."""


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


class Isolation(Protocol):
    """One way to hold a process."""

    @property
    def name(self) -> str:
        """What a verdict says of it: `process` or `bubblewrap`."""

    def command(self, command: Sequence[str], limits: Limits, mounts: Mounts) -> list[str]:
        """Return the command line that runs `command` held."""


class ProcessIsolation:
    """A session, limits and a reaper; see `sandbox.warden`."""

    name = "process"

    def command(self, command: Sequence[str], limits: Limits, mounts: Mounts) -> list[str]:
        """Run the command below a warden that ends all of its descendants."""
        del mounts  # the whole file system is visible
        return [*_warden("supervise", limits), *command]


class BubblewrapIsolation:
    """Namespaces by bubblewrap.

    Parameters
    ----------
    bwrap
        The program.
    """

    name = "bubblewrap"

    def __init__(self, bwrap: Path) -> None:
        self._bwrap = bwrap

    def command(self, command: Sequence[str], limits: Limits, mounts: Mounts) -> list[str]:
        """Run the command in namespaces of its own, with only the given paths and the system visible."""
        return [
            str(self._bwrap),
            *("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
            *("--unshare-cgroup-try", "--disable-userns", "--die-with-parent", "--new-session"),
            *("--cap-drop", "ALL", "--hostname", "sandbox"),
            *_system(),
            *("--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", "--dev", "/dev"),
            *("--size", str(_TMP_BYTES), "--tmpfs", "/tmp"),  # noqa: S108 -- the sandbox's own, private /tmp
            *("--size", str(_TMP_BYTES), "--tmpfs", "/dev/shm"),  # noqa: S108 -- likewise
            *_binds("--ro-bind", (*python_paths(), *mounts.readable)),
            *_binds("--bind", mounts.writable),
            *(_gpu_devices() if mounts.gpu else ()),
            *("--remount-ro", "/", "--chdir", str(mounts.folder or "/tmp"), "--"),  # noqa: S108 -- likewise
            *_warden("replace", limits),
            *command,
        ]


def choose_isolation(choice: IsolationChoice = IsolationChoice.AUTO) -> Isolation:
    """Return how untrusted processes are held on this machine.

    Raises
    ------
    InfraError
        `bubblewrap` was asked for and does not work here.
    """
    if choice is IsolationChoice.PROCESS:
        return ProcessIsolation()
    problem = bubblewrap_problem()
    if not problem:
        return BubblewrapIsolation(Path(shutil.which("bwrap") or "bwrap"))
    if choice is IsolationChoice.BUBBLEWRAP:
        raise InfraError(f"bubblewrap does not hold processes on this machine: {problem}")
    return ProcessIsolation()


@lru_cache(maxsize=1)
def bubblewrap_problem() -> str:
    """Return why bubblewrap cannot be used here, empty when its self-test passes (run once per process)."""
    found = shutil.which("bwrap")
    if found is None:
        return "the program bwrap is not on PATH"
    return self_test(BubblewrapIsolation(Path(found)))


def self_test(isolation: Isolation) -> str:
    """Run a probe inside the sandbox that looks for holes; returns the first one found, or nothing.

    The canaries (a file in the temporary folder, a variable of this process) must be invisible, the system must be
    read-only, the network must be empty and other processes must be out of sight.
    """
    with tempfile.TemporaryDirectory(prefix="kernelwright-canary-") as folder:
        canary = Path(folder, "canary")
        canary.write_text("visible", encoding="utf-8")
        probe = [sys.executable, "-I", "-S", str(_SELF_TEST), str(canary)]
        try:
            done = subprocess.run(
                isolation.command(probe, Limits(), Mounts()),
                capture_output=True,
                timeout=_SELF_TEST_SECONDS,
                check=False,
                env=child_environment(),
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    try:
        holes = json.loads(done.stdout)
    except ValueError:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"the self-test ended with code {done.returncode}"
    return str(holes[0]) if holes else ""


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


def _warden(mode: str, limits: Limits) -> list[str]:
    numbers = (limits.cpu_seconds, limits.file_bytes, limits.processes)
    return [sys.executable, "-I", "-S", str(_WARDEN), mode, *map(str, numbers)]


def _system() -> list[str]:
    arguments = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        place = Path("/", name)
        if place.is_symlink():
            arguments += ["--symlink", str(place.readlink()), str(place)]
        elif place.is_dir():
            arguments += ["--ro-bind", str(place), str(place)]
    for name in ("ld.so.cache", "alternatives"):
        arguments += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return arguments


def _binds(option: str, paths: Sequence[Path]) -> list[str]:
    shown = [path for path in paths if not path.is_relative_to("/usr") or option == "--bind"]
    return [part for path in shown for part in (option, str(path), str(path))]


def _gpu_devices() -> list[str]:
    return [part for path in sorted(Path("/dev").glob("nvidia*")) for part in ("--dev-bind", str(path), str(path))]
