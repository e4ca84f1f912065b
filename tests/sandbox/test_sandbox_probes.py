"""What untrusted code tries, for real: nothing of it succeeds held by bubblewrap or Docker, and most of it does when nothing holds.

`probes/` is one C++ program. It runs held, by bwrap started as root and as an ordinary user and by Docker; and plainly,
as each of the users. The plain runs show that the probes are alive: one that never succeeds anywhere would prove nothing.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sandbox.bubblewrap import BubblewrapIsolation
from sandbox.docker.engine import Engine
from sandbox.docker.isolation import DockerIsolation
from sandbox.holding import Mounts
from sandbox.isolation import bubblewrap_problem, choose_isolation
from sandbox.local_tree import Launch
from sandbox.process import HeldProcess, ProcessFailedError
from sandbox.values import ExitState, Limits

PROBES = Path(__file__).with_name("probes")
USER = 61234
"""An ordinary user, when root runs these tests."""
LIMITS = Limits(
    wall_seconds=60,
    cpu_seconds=30,
    memory_bytes=256 << 20,
    file_bytes=8 << 20,
    processes=64,
    descriptors=256,
    temporary_bytes=32 << 20,
    files=400,
)
BEYOND = {
    "processes": 100,
    "descriptors": 300,
    "file_bytes": LIMITS.file_bytes,
    "temporary_bytes": LIMITS.temporary_bytes + (1 << 20),
    "files": 500,
}
SECRETS = (
    "secret",
    "home/.ssh/id_ed25519",
    "project/kernelwright.toml",
    "data/kernelwright.db",
    "cache/other/kernel.so",
)
AS_USER = ["/usr/bin/setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"]


@dataclass(frozen=True)
class Host:
    """What is there to be attacked."""

    attack: Path
    arguments: list[str]
    folder: Path

    def command(self, group: str) -> list[str]:
        return [str(self.attack), group, *self.arguments, *(f"{name}={value}" for name, value in BEYOND.items())]

    def is_untouched(self) -> bool:
        return all((self.folder / name).read_text() == "canary" for name in SECRETS)


class StartedByUser:
    """bubblewrap as an ordinary user starts it, also where the tests are run by root."""

    name = "bubblewrap"

    def __init__(self, bwrap: BubblewrapIsolation) -> None:
        self._bwrap = bwrap

    def launch(self, command: Sequence[str], limits: Limits, mounts: Mounts, home: Path | None = None) -> Launch:
        launch = self._bwrap.launch(command, limits, mounts, home)
        return replace(launch, command=[*AS_USER, *launch.command]) if os.geteuid() == 0 else launch


@pytest.fixture(scope="module")
def attack(open_folder) -> Path:
    program = open_folder / "attack"
    sources = sorted(map(str, PROBES.glob("*.cpp")))
    subprocess.run(
        [
            "g++",
            "-std=c++17",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-o",
            str(program),
            *sources,
            "-lutil",
            "-lrt",
            "-lpthread",
        ],
        check=True,
    )
    return program


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder that every user may read, outside the folder of temporary files."""
    folder = Path(tempfile.mkdtemp(prefix="kernelwright-probes-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def host(attack, open_folder) -> Iterator[Host]:
    canaries = open_folder / "canaries"
    for name in SECRETS:
        (canaries / name).parent.mkdir(parents=True, exist_ok=True)
        (canaries / name).write_text("canary")
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", str(USER), str(canaries)], check=True)
    with ExitStack() as opened:
        victim = opened.enter_context(sleeper())
        tcp = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = opened.enter_context(echo())
        abstract = opened.enter_context(listening(f"\0kernelwright-{os.getpid()}"))
        opened.enter_context(listening(str(canaries / "socket")))
        (canaries / "socket").chmod(0o777)
        given = {
            "canaries": canaries,
            "code": Path(sys.prefix),
            "victim": victim,
            "parent": os.getpid(),
            "tcp": tcp.getsockname()[1],
            "udp": udp,
            "abstract": abstract.removeprefix("\0"),
            "socket": canaries / "socket",
        }
        yield Host(attack, [f"{name}={value}" for name, value in given.items()], canaries)


@contextmanager
def sleeper() -> Iterator[int]:
    as_user = AS_USER if os.geteuid() == 0 else []
    with subprocess.Popen([*as_user, "/bin/sleep", "600"], env={"KERNELWRIGHT_PROBE_SECRET": "1"}) as victim:
        yield victim.pid
        victim.kill()


@contextmanager
def echo() -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.bind(("127.0.0.1", 0))
        end.settimeout(0.1)
        stop = threading.Event()
        thread = threading.Thread(target=answer, args=(end, stop))
        thread.start()
        yield end.getsockname()[1]
        stop.set()
        thread.join()


def answer(end: socket.socket, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            end.sendto(*end.recvfrom(16))
        except TimeoutError:
            continue


@contextmanager
def listening(name: str) -> Iterator[str]:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(name)
        end.listen(16)
        yield name


@pytest.fixture(params=["bubblewrap-root", "bubblewrap-user", "docker"])
def sandbox(request, open_folder, attack):
    """bubblewrap as each kind of user starts it, and a container."""
    if request.param == "docker":
        daemon, _ = request.getfixturevalue("dockerd"), request.getfixturevalue("docker")
        return DockerIsolation(Engine(daemon.host), "kernelwright-sandbox", open_folder, shown=[attack])
    if bubblewrap_problem():
        pytest.skip(f"bubblewrap: {bubblewrap_problem()}")
    root = request.param == "bubblewrap-root"
    if root and os.geteuid() != 0:
        pytest.skip("only root can start it as root")
    chosen = choose_isolation()
    assert isinstance(chosen, BubblewrapIsolation)
    isolation = BubblewrapIsolation(chosen.program, open_folder, shown=[attack], root=root)
    return isolation if root else StartedByUser(isolation)


def outcomes(output: str) -> dict[str, bool]:
    lines = [line.split() for line in output.splitlines()]
    return {name: answer == "yes" for name, answer in lines if answer in {"yes", "no"}}


def plain(command: Sequence[str], *, root: bool) -> dict[str, bool]:
    as_user = [] if root or os.geteuid() != 0 else AS_USER
    environment = {"KERNELWRIGHT_PROBE_SECRET": "1"}
    # One descriptor stays open in a child that nothing holds, as it does where a program forgets.
    with Path("/dev/null").open() as forgotten:
        done = subprocess.run(
            [*as_user, *command],
            capture_output=True,
            text=True,
            env=environment,
            pass_fds=[forgotten.fileno()],
            check=True,
        )
    for folder in ("/tmp", "/dev/shm"):  # noqa: S108 -- where the probes write
        for left in Path(folder).glob("kernelwright-probe-*"):
            left.unlink()  # of a probe that ran out of time
    return outcomes(done.stdout)


def held(isolation, command: Sequence[str], seconds: float = 60, **limits):
    bounds = LIMITS.model_copy(update=limits)
    with HeldProcess(command, isolation=isolation, limits=bounds, mounts=Mounts()) as process:
        return process.wait(seconds)


@pytest.mark.parametrize(("group", "least"), [("all", 90), ("resources", 14)])
def test_no_probe_succeeds_in_the_sandbox(sandbox, host, monkeypatch, group, least):
    monkeypatch.setenv("KERNELWRIGHT_PROBE_SECRET", "1")
    finished = held(sandbox, host.command(group))
    found = outcomes(finished.output)
    assert finished.code == 0, finished.output
    assert [name for name, success in found.items() if success] == []
    assert len(found) >= least
    assert host.is_untouched()


@pytest.mark.parametrize("root", [True, False], ids=["root", "user"])
def test_most_probes_succeed_where_nothing_holds_them(host, root):
    if root and os.geteuid() != 0:
        pytest.skip("only root can run them as root")
    found = plain(host.command("all"), root=root) | plain(host.command("resources"), root=root)
    alive = [name for name, success in found.items() if success]
    assert len(alive) >= (75 if root else 50)
    assert host.is_untouched()


MEMORY = ["/bin/sh", "-c", "exec tail /dev/zero"]
FLOOD = ["/bin/sh", "-c", "exec yes flood"]
DEAF = ["/bin/sh", "-c", "trap '' TERM INT HUP; while :; do sleep 0.1; done"]
SPIN = ["/bin/sh", "-c", "while :; do :; done"]
MARK = "601.0625"
DAEMON = ["/bin/sh", "-c", f"(setsid sh -c 'setsid sleep {MARK} & exit' &) ; sleep 0.1; exit 0"]


@pytest.mark.parametrize(
    ("command", "seconds", "limits", "state"),
    [
        (MEMORY, 60, {}, ExitState.OUT_OF_MEMORY),
        (FLOOD, 0.5, {}, ExitState.TIMEOUT),
        (DEAF, 0.5, {}, ExitState.TIMEOUT),
    ],
    ids=["memory", "flood", "deaf"],
)
def test_what_will_not_end_is_ended(sandbox, command, seconds, limits, state):
    with pytest.raises(ProcessFailedError) as failure:
        held(sandbox, command, seconds, **limits)
    assert failure.value.state is state


def test_processor_time_runs_out(sandbox):
    assert held(sandbox, SPIN, cpu_seconds=1).code in {128 + 9, 128 + 24}


def test_a_daemon_does_not_stay(sandbox):
    assert held(sandbox, DAEMON).code == 0
    found = subprocess.run(["/usr/bin/pgrep", "-f", f"sleep {MARK}"], capture_output=True, check=False)
    assert found.stdout == b""
