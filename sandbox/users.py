"""Users of this machine that own nothing, for sandboxes that root starts, and what is lent to one for one run."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from sandbox.holding import Mounts

_OPEN = stat.S_IROTH | stat.S_IXOTH

# linux/capability.h
_CAP_SETUID = 7
_CAP_SYS_ADMIN = 21

# Users that no system assigns: systemd's list of user ranges leaves 0x70000000 to 0x7FFDFFFF unused, and Docker takes
# none from 0x80000000 on.
FREE_USERS = range(0x70000000, 0x71000000)
"""What `free_user` chooses from on a machine that maps all users."""


def runs_as_root() -> bool:
    """Whether this process may make namespaces and change users without a user namespace."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    effective = next((int(line.split()[1], 16) for line in status if line.startswith("CapEff:")), 0)
    return os.geteuid() == 0 and all(effective >> one & 1 for one in (_CAP_SETUID, _CAP_SYS_ADMIN))


def free_user() -> int:
    """Return a user that owns nothing on this machine and runs nothing else."""
    ranges = [line.split() for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()]
    start, count = max(((int(inside), int(length)) for inside, _, length in ranges), key=lambda one: one[1])
    if start + count > FREE_USERS.stop:
        return secrets.choice(FREE_USERS)
    return start + count // 2 + secrets.randbelow(max(count // 4, 1))  # this is a container; few users are mapped


def lend(mounts: Mounts, user: int) -> Callable[[], None]:
    """Let the sandbox's own user into the folders of one run; returns what takes them back.

    A folder made by `tempfile` is closed to every other user. One that is read may be opened to all: what leads to it
    on the host stays as closed as it was.
    """
    if not user:
        return lambda: None
    for path in mounts.readable:
        if path.is_dir() and path.stat().st_mode & _OPEN != _OPEN:
            path.chmod(path.stat().st_mode | _OPEN)
    for path in mounts.writable:
        _own(path, user)
    return partial(_take_back, mounts.writable)


def _take_back(folders: Iterable[Path]) -> None:
    for folder in folders:
        _own(folder, os.geteuid())


def _own(folder: Path, user: int) -> None:
    for place, folders, files in os.walk(folder):
        os.chown(place, user, -1)
        for name in (*folders, *files):
            os.chown(Path(place, name), user, -1, follow_symlinks=False)
