"""Runs inside a sandbox and prints, as a JSON list, what it could do that it must not be able to."""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
import tempfile
from pathlib import Path

_OWN_PROCESSES = 2
"""The namespace's first process, and this one."""
_ALLOWED_VARIABLES = {"PATH", "LANG", "LC_CTYPE", "HOME", "TMPDIR", "USER", "OMP_NUM_THREADS", "PWD"}
_FILTERED = "2"
_PROCESS_BOUNDS = (Path("/sys/fs/cgroup/pids.max"), Path("/sys/fs/cgroup/pids/pids.max"))
_TEMPORARY = ("/tmp", "/dev/shm")  # noqa: S108 -- the sandbox's own


def _status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _writable(folder: str) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _visible_processes() -> int:
    return sum(entry.name.isdigit() for entry in Path("/proc").iterdir())


def _variables() -> set[str]:
    names = set(os.environ)
    try:
        first = Path("/proc/1/environ").read_bytes().decode(errors="replace")
    except OSError:
        return names
    return names | {entry.partition("=")[0] for entry in first.split("\0") if entry}


def _vsock_opens() -> bool:
    try:
        socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True


def _multiplies_freely(limits: dict[str, int]) -> bool:
    """Whether neither this user's processes nor this control group's are bounded."""
    if 0 <= resource.getrlimit(resource.RLIMIT_NPROC)[1] <= limits["processes"]:
        return False
    for place in _PROCESS_BOUNDS:
        if place.exists():
            text = place.read_text(encoding="ascii").strip()
            return not text.isdigit() or int(text) > limits["processes"] + _OWN_PROCESSES
    return True


def _unbounded(limits: dict[str, int]) -> bool:
    bounds = {
        resource.RLIMIT_NOFILE: limits["descriptors"],
        resource.RLIMIT_FSIZE: limits["file_bytes"],
        resource.RLIMIT_CPU: limits["cpu_seconds"],
        resource.RLIMIT_CORE: 0,
    }
    beyond = any(not 0 <= resource.getrlimit(kind)[1] <= bound for kind, bound in bounds.items())
    return beyond or _multiplies_freely(limits)


def _roomy(limits: dict[str, int]) -> bool:
    spaces = [os.statvfs(place) for place in _TEMPORARY]
    return any(
        one.f_blocks * one.f_frsize > limits["temporary_bytes"] or not 0 < one.f_files <= limits["files"]
        for one in spaces
    )


def _arrives(mark: str) -> bool:
    try:
        Path(mark).write_text("here", encoding="ascii")
    except OSError:
        return False
    return True


def holes(canary: str, limits: dict[str, int], mark: str) -> list[str]:
    """Return one sentence per hole."""
    status = _status()
    interfaces = [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]
    checks = {
        "a file of the host's temporary folder is visible": Path(canary).exists(),
        "the system can be written": _writable("/usr"),
        "the root folder can be written": _writable("/"),
        "the folder of devices can be written": _writable("/dev"),
        "kernel settings can be written": os.access("/proc/sys/kernel/hostname", os.W_OK),
        "the network is reachable": any(name != "lo" for name in interfaces),
        "processes of the host are visible": _visible_processes() > _OWN_PROCESSES,
        "the environment of the host is visible": not _variables() <= _ALLOWED_VARIABLES,
        "it runs as root": os.getuid() == 0,
        "capabilities are left": any(int(status[f"Cap{which}"], 16) for which in ("Eff", "Prm", "Inh", "Bnd", "Amb")),
        "new privileges can be gained": status.get("NoNewPrivs") != "1",
        "system calls are not filtered": status.get("Seccomp") != _FILTERED or _vsock_opens(),
        "limits are not in force": _unbounded(limits),
        "the temporary folders are not bounded": _roomy(limits),
        "the private temporary folder cannot be written": not _writable(tempfile.gettempdir()),
        "the folder of a run cannot be written": not _arrives(mark),
    }
    return [sentence for sentence, found in checks.items() if found]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(holes(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3])))
