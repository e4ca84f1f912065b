"""Control groups, version 2: bounds that the kernel holds, and one switch that ends everything inside.

A group is made where the host lets us: in the nearest group at or above our own that we may write and that hands the
memory and process controllers on to its children; else in one that we may write at all, which bounds nothing and still
ends its processes together; else nowhere.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sandbox.values import Limits

_PREFIX = "kernelwright-"
_CONTROLLERS = {"memory", "pids"}
_EMPTY_SECONDS = 5.0
_STEP_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """One group, for one sandbox."""

    folder: Path
    bounded: bool
    """Whether it bounds memory and processes."""

    @property
    def entrance(self) -> Path:
        """File to which a process writes `0` to join."""
        return self.folder / "cgroup.procs"

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel ended a process of the group because of the group's bound."""
        return self.bounded and _counter(self.folder / "memory.events", "oom_kill") > 0

    def end(self) -> None:
        """Kill every process in the group."""
        with suppress(OSError):  # before Linux 5.14 there is no such file
            (self.folder / "cgroup.kill").write_text("1", encoding="ascii")

    def remove(self) -> bool:
        """End what is left, wait until the group is empty, and remove it; returns whether it is gone."""
        deadline = time.monotonic() + _EMPTY_SECONDS
        while True:
            try:
                self.folder.rmdir()
            except FileNotFoundError:
                return True
            except OSError:
                if time.monotonic() > deadline:
                    return False
                self.end()
                time.sleep(_STEP_SECONDS)
            else:
                return True


class ControlGroups:
    """Makes groups below one place of the hierarchy.

    Parameters
    ----------
    mount
        Where version 2 is mounted.
    own
        Path of our own group below it.
    """

    def __init__(self, mount: Path, own: str) -> None:
        self._mount = mount
        self.place, self.bounded = self._find(mount / own.strip("/"))

    @classmethod
    def here(cls) -> ControlGroups | None:
        """Look at this machine; None where version 2 is not mounted or this process is in no group of it."""
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
        mount = next((line.split()[4] for line in mounts if " - cgroup2 " in line), None)
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        own = next((line.removeprefix("0::") for line in groups if line.startswith("0::")), None)
        return cls(Path(mount), own) if mount is not None and own is not None else None

    def open(self, limits: Limits) -> ControlGroup | None:
        """Make a group that holds to the limits as far as the host allows; None where it allows none."""
        if self.place is None:
            return None
        folder = self.place / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(8)}"
        try:
            folder.mkdir()
        except OSError:
            return None
        group = ControlGroup(folder, self.bounded)
        if self.bounded:
            try:
                _write_limits(folder, limits)
            except OSError:
                group.remove()
                return None
        return group

    def sweep(self) -> tuple[Path, ...]:
        """Remove the groups of processes of ours that are gone; returns what was removed."""
        if self.place is None:
            return ()
        removed = []
        for folder in self.place.glob(f"{_PREFIX}*-*"):
            maker = folder.name.removeprefix(_PREFIX).partition("-")[0]
            if maker.isdigit() and not Path("/proc", maker).exists() and ControlGroup(folder, bounded=False).remove():
                removed.append(folder)
        return tuple(removed)

    def _find(self, own: Path) -> tuple[Path | None, bool]:
        places = [place for place in self._upwards(own) if _writable(place)]
        for place in places:
            with suppress(OSError):
                handed_on = (place / "cgroup.subtree_control").read_text(encoding="ascii").split()
                if set(handed_on) >= _CONTROLLERS:
                    return place, True
        return (places[0] if places else None), False

    def _upwards(self, own: Path) -> Iterator[Path]:
        yield own
        while own != self._mount and own.is_relative_to(self._mount):
            own = own.parent
            yield own


def _writable(place: Path) -> bool:
    return os.access(place, os.W_OK) and os.access(place / "cgroup.procs", os.W_OK)


def _write_limits(folder: Path, limits: Limits) -> None:
    (folder / "memory.max").write_text(str(limits.memory_bytes), encoding="ascii")
    (folder / "memory.oom.group").write_text("1", encoding="ascii")
    (folder / "pids.max").write_text(str(limits.processes), encoding="ascii")
    with suppress(FileNotFoundError):  # a kernel without swap accounting
        (folder / "memory.swap.max").write_text("0", encoding="ascii")


def _counter(file: Path, name: str) -> int:
    with suppress(OSError):
        for line in file.read_text(encoding="ascii").splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0
