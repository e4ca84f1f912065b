"""bubblewrap: namespaces of its own, a read-only system, no network, bounded memory folders, filtered system calls.

Two programs start before the command. `hold join` enters a control group and becomes bwrap, which lays out the
namespaces. Inside, `hold bound` checks that they are new, bounds the temporary folders, sets limits, gives up every
privilege, refuses system calls, and becomes the command. Nothing in the sandbox runs without the first filter, not even
bwrap's own first process there, which is hidden from the command besides.

Started by root, the user namespace is left out and the command runs under a user that owns nothing: in a namespace it
would still be root to the host's files, /proc/sys among them. Each sandbox takes another such user, since the kernel
counts processes by user.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from sandbox.cgroup import ControlGroups
from sandbox.holder import build_holder
from sandbox.holding import SHARED_MEMORY, TEMPORARY, Mounts, child_environment, python_paths
from sandbox.local_tree import Launch
from sandbox.seccomp import FilterStage, filter_program
from sandbox.users import free_user, lend, runs_as_root
from sandbox.values import Limits

SECRETS_OF_PROC = ("kcore", "keys", "key-users", "kmsg", "sysrq-trigger", "timer_list", "sched_debug", "kallsyms")
"""Files of /proc that tell of the machine as a whole."""
_DEVICES = ("null", "zero", "full", "random", "urandom")
_STREAMS = (("stdin", 0), ("stdout", 1), ("stderr", 2))
_NAMESPACES = ("mnt", "pid", "net", "ipc", "uts")


class BubblewrapIsolation:
    """Namespaces by bubblewrap.

    Parameters
    ----------
    bwrap
        The program.
    cache_dir
        Where our own first program is kept once it is compiled.
    groups
        Control groups of this machine; None where there are none.
    shown
        What every process may read beyond the system; by default what our own Python children need.
    root
        Whether bwrap is started by root, with all that root may; this process's own standing by default.
    """

    name = "bubblewrap"

    def __init__(
        self,
        bwrap: Path,
        cache_dir: Path,
        groups: ControlGroups | None = None,
        *,
        shown: Sequence[Path] | None = None,
        root: bool | None = None,
    ) -> None:
        self.program = bwrap
        self._cache_dir = cache_dir
        self._groups = groups
        self._shown = python_paths() if shown is None else tuple(shown)
        self._root = runs_as_root() if root is None else root

    def launch(self, command: Sequence[str], limits: Limits, mounts: Mounts, home: Path | None = None) -> Launch:
        """Prepare namespaces with only the given paths and the system visible."""
        holder = build_holder(self._cache_dir)
        outer = readable_copy(filter_program(FilterStage.NAMESPACE, gpu=mounts.gpu))
        inner = readable_copy(filter_program(FilterStage.COMMAND, gpu=mounts.gpu))
        ready, held = os.pipe()
        group = self._groups.open(limits) if self._groups else None
        user = free_user() if self._root else 0
        place = home if home is not None and home in mounts.writable else None
        return Launch(
            command=[
                *(str(holder), "join", str(group.entrance) if group else "-", str(os.getpid()), "--"),
                *(str(self.program), *_namespaces(user), "--seccomp", str(outer)),
                *_files(limits, mounts, (*self._shown, holder)),
                *("--chdir", "/", "--", str(holder), "bound"),
                *_bounds(limits, user),
                f"folder={mounts.folder or TEMPORARY}",
                *(f"filter={inner}", f"ready={held}", "--"),
                *command,
            ],
            environment=child_environment(place),
            folder=mounts.folder,
            descriptors=(outer, inner, held),
            ready=ready,
            group=group,
            give_back=lend(mounts, user),
        )


def _namespaces(user: int) -> list[str]:
    asked = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    asked += ["--die-with-parent", "--new-session", "--hostname", "sandbox", "--cap-drop", "ALL"]
    kept = ["CAP_SYS_ADMIN", "CAP_SETPCAP"]
    if user:
        kept += ["CAP_SETUID", "CAP_SETGID"]
    else:
        asked += ["--unshare-user", "--uid", "65533", "--gid", "65533"]
        kept += ["CAP_SYS_RESOURCE"]
    return [*asked, *(part for one in kept for part in ("--cap-add", one))]


def _files(limits: Limits, mounts: Mounts, always: Sequence[Path]) -> list[str]:
    size = str(limits.temporary_bytes)
    shown = (*always, *mounts.readable)
    return [
        *_system(),
        *("--perms", "1777", "--size", size, "--tmpfs", SHARED_MEMORY),
        *("--perms", "1777", "--size", size, "--tmpfs", TEMPORARY),
        *_parents((*shown, *mounts.writable)),
        *_binds("--ro-bind", shown),
        *_binds("--bind", mounts.writable),
        *(_gpu_devices() if mounts.gpu else ()),
        *("--remount-ro", "/dev", "--remount-ro", "/"),
    ]


def _devices() -> list[str]:
    """Lay out /dev without terminals; for those, bwrap's own would take a second user namespace."""
    return [
        *("--size", "65536", "--tmpfs", "/dev"),
        *(part for name in _DEVICES for part in ("--dev-bind", f"/dev/{name}", f"/dev/{name}")),
        *("--symlink", "/proc/self/fd", "/dev/fd"),
        *(part for name, number in _STREAMS for part in ("--symlink", f"/proc/self/fd/{number}", f"/dev/{name}")),
    ]


def _bounds(limits: Limits, user: int) -> list[str]:
    """Return the settings of `hold bound`, in the order in which they are carried out."""
    kinds = _NAMESPACES if user else (*_NAMESPACES, "user")
    return [
        *(f"namespace={kind}:{Path('/proc/self/ns', kind).stat().st_ino}" for kind in kinds),
        *([f"user={user}"] if user else ["user-namespaces=0"]),
        *(f"tmpfs={limits.temporary_bytes}:{limits.files}:{place}" for place in (TEMPORARY, SHARED_MEMORY)),
        f"cpu={limits.cpu_seconds}",
        f"file={limits.file_bytes}",
        f"processes={limits.processes}",
        f"descriptors={limits.descriptors}",
    ]


@lru_cache(maxsize=1)
def _system() -> tuple[str, ...]:
    hidden = [place for place in SECRETS_OF_PROC if Path("/proc", place).exists()]
    masks = (part for place in hidden for part in ("--ro-bind", "/dev/null", f"/proc/{place}"))
    return (*_installed(), "--proc", "/proc", *masks, *_devices())


def _installed() -> tuple[str, ...]:
    arguments = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        place = Path("/", name)
        if place.is_symlink():
            arguments += ["--symlink", str(place.readlink()), str(place)]
        elif place.is_dir():
            arguments += ["--ro-bind", str(place), str(place)]
    for name in ("ld.so.cache", "alternatives"):
        arguments += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return tuple(arguments)


def _parents(paths: Iterable[Path]) -> list[str]:
    """Make what leads to a path first; bwrap would copy the host's modes, which may keep the sandbox's own user out."""
    folders = dict.fromkeys(parent for path in paths for parent in reversed(path.parents))
    made = [one for one in folders if one.name and not one.is_relative_to("/usr") and str(one) != TEMPORARY]
    return [part for one in made for part in ("--perms", "0755", "--dir", str(one))]


def _binds(option: str, paths: Iterable[Path]) -> list[str]:
    shown = [path for path in paths if not path.is_relative_to("/usr") or option == "--bind"]
    return [part for path in shown for part in (option, str(path), str(path))]


def _gpu_devices() -> list[str]:
    return [part for path in sorted(Path("/dev").glob("nvidia*")) for part in ("--dev-bind", str(path), str(path))]


def readable_copy(data: bytes) -> int:
    """Return a descriptor from which a child reads the data, which is less than a pipe holds."""
    descriptor, end = os.pipe()
    os.write(end, data)
    os.close(end)
    return descriptor
