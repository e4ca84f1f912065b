"""Docker: a container for each held process, with nothing of the daemon's defaults that a candidate could use.

No network, no capabilities and none to gain, a read-only root folder, our profile of system calls, bounds on memory,
processes, processors and temporary folders, a user that is not root, and only the named paths of the host, read-only.
What runs in it is started by `hold contain`, our own first program, which says over a socket of this run what became of
it (`sandbox.docker.container`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.bubblewrap import SECRETS_OF_PROC, readable_copy
from sandbox.docker.container import DOOR, ContainerLaunch, open_door
from sandbox.docker.engine import Engine
from sandbox.docker.profile import docker_profile
from sandbox.holder import build_holder
from sandbox.holding import SHARED_MEMORY, TEMPORARY, Mounts, child_environment, python_paths
from sandbox.scratch import scratch_folder
from sandbox.seccomp import FilterStage, filter_program
from sandbox.users import free_user, lend
from sandbox.values import Limits

if TYPE_CHECKING:
    from docker.types import Mount

MAKER = "org.kernelwright.maker"
"""Label of every container of ours: the process that made it, as `maker` writes it."""

_OURS = 1
"""Processes of a container that are not the command's: the first one."""
_NAMESPACES = ("mnt", "pid", "net", "ipc", "uts", "cgroup")
_IN_USR = ("bin", "sbin", "lib", "lib32", "lib64")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives")
_PROC = ("acpi", "asound", "interrupts", "latency_stats", "scsi", "timer_stats")
_SYS = ("block", "bus", "class", "dev", "devices", "firmware", "hypervisor", "kernel", "module", "power")
_MASKED = (
    *(
        f"/proc/{name}"
        for name in (*SECRETS_OF_PROC, "acpi", "asound", "interrupts", "latency_stats", "scsi", "timer_stats")
    ),
    *(f"/sys/{name}" for name in _SYS),  # all but the control groups
    *("/etc/hosts", "/etc/hostname", "/etc/resolv.conf"),  # what Docker lays over the image's own
)
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_LOG_BYTES = "16k"
_STARTED_FIELD = 19
"""Of /proc/PID/stat after the name: when the process started, in ticks since the boot."""


class DockerIsolation:
    """Containers of one daemon.

    Parameters
    ----------
    engine
        The daemon.
    image
        Name of the image (`sandbox.docker.image`).
    cache_dir
        Where our own first program is kept once it is compiled.
    shown
        What every process may read beyond the system; by default what our own Python children need.
    """

    name = "docker"

    def __init__(self, engine: Engine, image: str, cache_dir: Path, *, shown: Sequence[Path] | None = None) -> None:
        self._engine = engine
        self._image = image
        self._cache_dir = cache_dir
        self._shown = python_paths() if shown is None else tuple(shown)

    def launch(
        self, command: Sequence[str], limits: Limits, mounts: Mounts, home: Path | None = None
    ) -> ContainerLaunch:
        """Make a container in which only the given paths and the system are visible."""
        holder = build_holder(self._cache_dir)
        user = free_user() if os.geteuid() == 0 else 0
        place = home if home is not None and home in mounts.writable else None
        with ExitStack() as lasting, ExitStack() as passed_on:
            # Closed to other users of this machine; the container sees only the folder in it.
            inner = lasting.enter_context(scratch_folder()) / "in"
            door = passed_on.enter_context(open_door(inner))
            ready, held = os.pipe()
            filters = [readable_copy(filter_program(stage, gpu=mounts.gpu)) for stage in FilterStage]
            for descriptor in (ready, held, *filters):
                passed_on.callback(os.close, descriptor)
            lasting.callback(lend(mounts, user))
            settings = [
                *_bounds(limits, user),
                *(f"variable={name}={value}" for name, value in child_environment(place).items()),
                f"folder={mounts.folder or TEMPORARY}",
                *(f"filter={one}" for one in filters),
                f"ready={held}",
            ]
            first = [str(holder), "contain", str(inner / DOOR), *settings, "--", *command]
            shown = (*self._shown, holder, inner, *mounts.readable)
            identity = self._engine.create(self._image, first, **self._container(limits, mounts, shown, user))
            passed_on.pop_all()
            return ContainerLaunch(
                engine=self._engine,
                identity=identity,
                door=door,
                descriptors=(held, *filters),
                ready=ready,
                give_back=lasting.pop_all().close,
            )

    def _container(self, limits: Limits, mounts: Mounts, shown: Iterable[Path], user: int) -> dict[str, Any]:
        return {
            "user": f"{user}:{user}" if user else f"{os.geteuid()}:{os.getegid()}",
            "labels": {MAKER: maker(os.getpid())},
            "working_dir": "/",
            "hostname": "sandbox",
            "network_disabled": True,
            "host_config": self._host_config(limits, mounts, shown),
        }

    def _host_config(self, limits: Limits, mounts: Mounts, shown: Iterable[Path]) -> dict[str, Any]:
        from docker.types import LogConfig, Ulimit  # noqa: PLC0415 -- an optional package, which takes long to load

        size = f"rw,exec,nosuid,nodev,mode=1777,size={limits.temporary_bytes},nr_inodes={limits.files}"
        visible = (*_system(), *(path for path in shown if not path.is_relative_to("/usr")))
        bounds = {"core": 0, "msgqueue": 0, "fsize": limits.file_bytes, "cpu": limits.cpu_seconds}
        config = self._engine.host_config(
            network_mode="none",
            ipc_mode="none",  # /dev/shm is mounted below, with a bound on its files too
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges", f"seccomp={docker_profile(gpu=mounts.gpu)}"],
            mem_limit=limits.memory_bytes,
            memswap_limit=limits.memory_bytes,
            pids_limit=limits.processes + _OURS,
            nano_cpus=min(os.cpu_count() or 1, _most_processors()) * 10**9,
            ulimits=[Ulimit(name=name, soft=value, hard=value) for name, value in bounds.items()],
            tmpfs={TEMPORARY: size, SHARED_MEMORY: size},
            mounts=[*_binds(visible, read_only=True), *_binds(mounts.writable, read_only=False)],
            devices=[f"{place}:{place}:rw" for place in sorted(Path("/dev").glob("nvidia*"))] if mounts.gpu else [],
            log_config=LogConfig(type="json-file", config={"max-size": _LOG_BYTES, "max-file": "1"}),
            restart_policy={"Name": "no"},
        )
        # The client library has no names for these.
        return {
            **config,
            "CgroupnsMode": "private",
            "MaskedPaths": list(_MASKED),
            "ReadonlyPaths": list(_READ_ONLY),
        }


def maker(process: int) -> str:
    """Name a process so that no other one, on any boot of this machine, has the same name; empty when there is none."""
    try:
        started = Path("/proc", str(process), "stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    return f"{_boot()}:{_numbering()}:{process}:{started.rpartition(')')[2].split()[_STARTED_FIELD]}"


def sweep(engine: Engine) -> tuple[str, ...]:
    """Remove the containers whose maker is gone; returns their identities.

    Those whose maker has its number from another namespace of processes are left to those who see it.
    """
    removed = []
    for container in engine.containers(MAKER):
        name = container.labels[MAKER]
        boot, numbering, process, _ = name.split(":")
        if boot != _boot() or (numbering == _numbering() and name != maker(int(process))):
            engine.remove(container.identity)
            removed.append(container.identity)
    return tuple(removed)


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _numbering() -> str:
    """Name the namespace that this process's numbers of processes are of."""
    return str(Path("/proc/self/ns/pid").stat().st_ino)


def _bounds(limits: Limits, user: int) -> list[str]:
    """Return the settings of `hold contain`; those that Docker's own limits cannot say, or say of the whole user."""
    return [
        *(f"namespace={kind}:{Path('/proc/self/ns', kind).stat().st_ino}" for kind in _NAMESPACES),
        # The kernel counts processes by user; this one is the command's alone only where root chose it.
        *([f"processes={limits.processes}"] if user else []),
        f"descriptors={limits.descriptors}",
    ]


def _most_processors() -> int:
    return int(child_environment()["OMP_NUM_THREADS"])


@lru_cache(maxsize=1)
def _system() -> tuple[Path, ...]:
    whole = [Path("/", name) for name in _IN_USR]
    folders = [place for place in whole if place.is_dir() and not place.is_symlink()]
    return (Path("/usr"), *folders, *(place for place in map(Path, _SYSTEM_FILES) if place.exists()))


def _binds(paths: Iterable[Path], *, read_only: bool) -> list[Mount]:
    from docker.types import Mount  # noqa: PLC0415 -- as above

    shown = dict.fromkeys(paths)  # Docker refuses a second mount at the same place
    return [Mount(str(path), str(path), type="bind", read_only=read_only) for path in shown]
