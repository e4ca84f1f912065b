"""Many sandboxed runs, a third of them hostile; the host must be afterwards as it was before.

`python -m benchmarks.soak [--runs 2000] [--killed-every 100] [--json]`, held as the settings say. Counts processes,
mounts, control groups, containers, temporary files, System V IPC, open descriptors and resident memory before and
after, once a warm-up has loaded what stays loaded. Every hundredth run is held by a process of its own that is killed
with SIGKILL in the middle; a sweep follows. Exit code 1 when something is left.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox.cgroup import ControlGroups
from sandbox.docker.engine import Engine
from sandbox.docker.isolation import MAKER
from sandbox.docker.isolation import sweep as sweep_containers
from sandbox.holding import Isolation, Mounts
from sandbox.isolation import choose_isolation
from sandbox.process import HeldProcess, ProcessFailedError
from sandbox.scratch import scratch_folder, sweep
from sandbox.settings import SandboxSettings
from sandbox.users import FREE_USERS
from sandbox.values import Limits

MARK = f"602.{os.getpid():07}"
"""Seconds that marked commands sleep; no other soak on this machine sleeps so long."""
LIMITS = Limits(
    wall_seconds=10,
    cpu_seconds=1,
    memory_bytes=96 << 20,
    file_bytes=4 << 20,
    processes=48,
    temporary_bytes=16 << 20,
    files=500,
    disk_bytes=16 << 20,
)
SECONDS = 0.6
WARM_UP = 20
HONEST = {
    "true": "true",
    "files": "for i in 1 2 3 4 5 6 7 8; do echo $i > $HOME/$i; done; cat $HOME/*",
    "pipeline": "seq 1 20000 | sort -r | tail -1",
    "writes": "echo done > out",
}
HOSTILE = {
    "fork bomb": "f() { f | f & }; f; sleep 0.3",
    "daemons": f"for i in 1 2 3; do (setsid sh -c 'setsid sleep {MARK} & exit' &); done; exit 0",
    "deaf": "trap '' TERM INT HUP QUIT; while :; do sleep 0.05; done",
    "memory": "exec tail /dev/zero",
    "flood": "exec yes flood",
    "spin": "while :; do :; done",
    "fill": "dd if=/dev/zero of=/tmp/a bs=1M count=64; dd if=/dev/zero of=/dev/shm/b bs=1M count=64",
    "inodes": "i=0; while : > /tmp/$i; do i=$((i+1)); done",
    "disk": "i=0; while dd if=/dev/zero of=$i bs=1M count=3 2>/dev/null; do i=$((i+1)); done",
    "crash": "kill -SEGV $$",
    "stopped": "kill -STOP $$",
    "kill all": "kill -9 -1",
}


@dataclass(frozen=True, slots=True)
class HostState:
    """What must not grow."""

    processes: int
    mounts: int
    control_groups: int
    containers: int
    temporary_files: int
    shared_segments: int
    queues: int
    semaphores: int
    descriptors: int
    resident_kib: int

    @classmethod
    def now(cls) -> HostState:
        """Count it."""
        gc.collect()
        status = Path("/proc/self/status").read_text(encoding="ascii")
        resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        return cls(
            processes=len(_ours()),
            mounts=len(Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()),
            control_groups=len(_abandoned_groups()),
            containers=len(_engine().containers(MAKER)) if _isolation().name == "docker" else 0,
            temporary_files=len(_temporary()),
            shared_segments=_lines("shm"),
            queues=_lines("msg"),
            semaphores=_lines("sem"),
            descriptors=sum(1 for _ in Path("/proc/self/fd").iterdir()),
            resident_kib=resident,
        )


def _isolation() -> Isolation:
    return choose_isolation(SandboxSettings.load().isolation)


def _engine() -> Engine:
    return Engine(SandboxSettings.load().docker_host)


def _abandoned_groups() -> list[Path]:
    """Find control groups of this process, which holds nothing now, and of processes that are gone."""
    groups = ControlGroups.here()
    found = groups.place.glob("kernelwright-*-*") if groups and groups.place else ()
    makers = {group: group.name.split("-")[1] for group in found}
    return [group for group, maker in makers.items() if maker == str(os.getpid()) or not Path("/proc", maker).exists()]


def _lines(kind: str) -> int:
    return len(Path("/proc/sysvipc", kind).read_text(encoding="ascii").splitlines()) - 1


def _temporary() -> list[Path]:
    return [*Path(tempfile.gettempdir()).iterdir(), *Path("/dev/shm").glob("kernelwright*")]  # noqa: S108 -- what is counted


def _ours() -> list[str]:
    """Find what these runs may have left: children, marked commands, and what nobody holds any more."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.name != str(os.getpid()):
                name, _, rest = (entry / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")
                state, parent, *_ = rest.split()
                sandboxed = entry.stat().st_uid in FREE_USERS or name.endswith(("(bwrap", "(hold"))
                orphaned = parent == "1" and state != "Z" and sandboxed
                if int(parent) == os.getpid() or orphaned or MARK.encode() in (entry / "cmdline").read_bytes():
                    found.append(entry.name)
        except OSError:
            continue
    return found


def _run(script: str) -> str:
    """Run one script as builds run: one folder on the host's disk, written by nobody else."""
    with scratch_folder() as folder:
        mounts = Mounts(writable=(folder,), folder=folder)
        command = ["/bin/sh", "-c", script]
        try:
            with HeldProcess(command, isolation=_isolation(), limits=LIMITS, mounts=mounts, home=folder) as process:
                return f"code {process.wait(SECONDS).code}"
        except ProcessFailedError as error:
            return str(error.state)


def _killed_run() -> str:
    """Do the same in a process that is killed while what it holds runs."""
    command = [sys.executable, "-m", "benchmarks.soak", "--held", MARK]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as maker:
        if maker.stdout is None or maker.stdout.readline().strip() != "held":
            raise RuntimeError("the process to be killed did not come as far as holding one")
        maker.send_signal(signal.SIGKILL)
    return "its parent was killed"


def _hold_until_killed(mark: str) -> None:
    script = f"trap '' TERM INT HUP; (setsid sleep {mark} &); echo held > held; while :; do sleep 1; done"
    with scratch_folder() as folder:
        mounts = Mounts(writable=(folder,), folder=folder)
        command = ["/bin/sh", "-c", script]
        with HeldProcess(command, isolation=_isolation(), limits=LIMITS, mounts=mounts, home=folder) as process:
            while not (folder / "held").exists():
                process.check(time.monotonic() + SECONDS)
                time.sleep(0.01)
            print("held", flush=True)
            process.wait(600)


def _soak(runs: int, killed_every: int) -> Counter[str]:
    endings: Counter[str] = Counter()
    honest, hostile = list(HONEST.items()), list(HOSTILE.items())
    for number in range(runs):
        if number % killed_every == killed_every - 1:
            endings[f"killed: {_killed_run()}"] += 1
            continue
        name, script = hostile[number // 3 % len(hostile)] if number % 3 == 0 else honest[number % len(honest)]
        endings[f"{name}: {_run(script)}"] += 1
    return endings


def _left(before: HostState, after: HostState) -> dict[str, int]:
    grown = {name: value - getattr(before, name) for name, value in asdict(after).items()}
    # The allocator and the interpreter's own tables grow in steps. What 2,000 runs leave at 2 KiB each would show.
    grown["resident_kib"] = max(grown["resident_kib"] - 4096, 0)
    return {name: value for name, value in grown.items() if value > 0}


def main() -> int:
    """Soak, and say what is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--killed-every", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--held", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.held:
        _hold_until_killed(given.held)
    with tempfile.TemporaryDirectory(prefix="kernelwright-soak-") as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        report = _report(given.runs, given.killed_every)
    print(json.dumps(report, indent=None if given.json else 2))
    return 1 if report["left"] else 0


def _sweep(isolation: str) -> int:
    """Remove what killed processes left, as the next use of the sandbox would; returns how much there was."""
    swept = len(sweep(settled_seconds=0))
    if groups := ControlGroups.here():
        swept += len(groups.sweep())
    if isolation == "docker":
        swept += len(sweep_containers(_engine()))
    return swept


def _report(runs: int, killed_every: int) -> dict[str, object]:
    isolation = _isolation().name
    _soak(WARM_UP, killed_every)
    _sweep(isolation)
    before, start = HostState.now(), time.monotonic()
    endings = _soak(runs, killed_every)
    seconds = time.monotonic() - start
    swept = _sweep(isolation)
    time.sleep(1.0)  # whoever adopts the killed reaps them
    after = HostState.now()
    return {
        "isolation": isolation,
        "runs": runs,
        "seconds": round(seconds, 1),
        "endings": dict(sorted(endings.items())),
        "swept": swept,
        "before": asdict(before),
        "after": asdict(after),
        "left": _left(before, after),
    }


if __name__ == "__main__":
    sys.exit(main())
