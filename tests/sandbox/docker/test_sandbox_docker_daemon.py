"""Containers of a real daemon, started for these tests: the ways in which daemon, image and makers go missing."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.dockerd import private_daemon
from sandbox.build import build
from sandbox.candidate import open_candidate
from sandbox.devices import parse_device
from sandbox.docker.engine import Engine
from sandbox.docker.image import LABEL, make_image
from sandbox.docker.isolation import MAKER, DockerIsolation, maker, sweep
from sandbox.docker.rung import DockerRung
from sandbox.errors import SandboxUnavailableError
from sandbox.holding import Mounts, python_paths
from sandbox.isolation import bubblewrap_problem, choose_isolation
from sandbox.process import HeldProcess, ProcessFailedError
from sandbox.settings import IsolationChoice, SandboxSettings
from sandbox.values import Candidate, ExitState, Language, Limits, SourceFile, Tensor
from tasks.values import DType

IMAGE = "kernelwright-sandbox"
MARK = "603.0625"
USER = 61235
PROJECT = Path(__file__).parents[3]


@pytest.fixture
def chosen(dockerd, settings, monkeypatch):
    """Settings that ask for that daemon."""
    monkeypatch.setenv("KERNELWRIGHT_ISOLATION", "docker")
    monkeypatch.setenv("KERNELWRIGHT_DOCKER_HOST", dockerd.host)
    monkeypatch.setenv("KERNELWRIGHT_CACHE_DIR", str(settings.cache_dir))
    return SandboxSettings.load()


def test_by_name_it_is_docker_and_its_self_test_finds_no_hole(chosen):
    assert choose_isolation(chosen.isolation).name == "docker"
    (finding,) = DockerRung(chosen.docker_host, IMAGE, chosen.cache_dir).findings()
    assert finding.ok, finding
    assert "memory, processes and processors bounded" in finding.detail


def test_auto_takes_docker_where_bubblewrap_does_not_hold(chosen, docker, monkeypatch, tmp_path):
    del docker
    assert choose_isolation(IsolationChoice.AUTO).name == ("docker" if bubblewrap_problem() else "bubblewrap")
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho bwrap: No permissions to create new namespace >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("sys.path", [])  # the wheel's own program is out of sight
    assert choose_isolation(IsolationChoice.AUTO).name == "docker"
    with pytest.raises(SandboxUnavailableError, match=r"none was started \(bubblewrap: .*No permissions"):
        choose_isolation(IsolationChoice.BUBBLEWRAP)


RAW = Candidate(
    language=Language.RAW,
    files=(
        SourceFile(
            name="kernel.cu", text='extern "C" __global__ void k(float* y, const float* x) { y[0] = 2 * x[0]; }\n'
        ),
        SourceFile(
            name="launch.toml",
            text='inputs = ["x"]\n[[outputs]]\nname = "y"\ndtype = "float32"\nshape = [1]\n[[launches]]\nkernel = "k"\ngrid = [1]\nblock = [1]\nargs = ["y", "x"]\n',
        ),
    ),
)


def test_a_candidate_is_built_and_run_in_containers(chosen, docker, tmp_path):
    settings = chosen.model_copy(update={"cache_dir": tmp_path})
    built = build(RAW, "sm_90", settings)
    one = Tensor(dtype=DType.FLOAT32, shape=(1,), data=b"\0\0\x80?")
    with open_candidate(built, parse_device("sim:h100"), settings=settings) as session:
        assert session.isolation == "docker"
        execution = session.call([one])
    assert execution.state is ExitState.OK, execution
    assert bytes(execution.outputs[0].data) == b"\0\0\0@"


@pytest.mark.parametrize(
    ("image", "labels", "said"),
    [
        ("kernelwright-none", None, "there is no image `kernelwright-none`"),
        ("kernelwright-other", [], "is no image of a sandbox"),
        ("kernelwright-old", [f"LABEL {LABEL}=0"], "was made for another release"),
    ],
)
def test_without_our_image_nothing_runs(dockerd, settings, image, labels, said):
    if labels is not None:
        Engine(dockerd.host).make_image(image, b"\0" * 1024, labels)
    with pytest.raises(SandboxUnavailableError, match=said) as failure:
        DockerRung(dockerd.host, image, settings.cache_dir).isolation()
    assert failure.value.remedy == "make it: make image"


def test_make_image_makes_it_under_the_name_that_the_settings_give(chosen, monkeypatch):
    command = [sys.executable, "-m", "sandbox.docker"]
    monkeypatch.setenv("KERNELWRIGHT_DOCKER_IMAGE", "kernelwright-made")
    subprocess.run(command, cwd=PROJECT, check=True)
    assert DockerRung(chosen.docker_host, "kernelwright-made", chosen.cache_dir).isolation().name == "docker"
    monkeypatch.setenv("KERNELWRIGHT_DOCKER_HOST", "unix:///nowhere")
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "no Docker daemon" in done.stderr


def test_a_path_that_the_daemon_does_not_see_names_the_cause(docker, tmp_path):
    mounts = Mounts(readable=(tmp_path / "elsewhere",))
    with pytest.raises(SandboxUnavailableError, match="see the same files"):
        HeldProcess(["/bin/true"], isolation=docker, limits=Limits(), mounts=mounts)


HOLD = f"""
import sys
from pathlib import Path
from sandbox.docker.engine import Engine
from sandbox.docker.isolation import DockerIsolation
from sandbox.holding import Mounts, python_paths
from sandbox.process import HeldProcess
from sandbox.values import Limits
host, cache, folder = sys.argv[1:]
isolation = DockerIsolation(Engine(host), "{IMAGE}", Path(cache))
script = "trap '' TERM INT HUP; (setsid sleep {MARK} &); echo held > held; while :; do sleep 1; done"
mounts = Mounts(writable=(Path(folder),), folder=Path(folder))
with HeldProcess(["/bin/sh", "-c", script], isolation=isolation, limits=Limits(), mounts=mounts) as process:
    process.wait(600)
"""


def running() -> bool:
    return subprocess.run(["/usr/bin/pgrep", "-f", f"sleep {MARK}"], capture_output=True, check=False).returncode == 0


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_killed_maker_takes_everything_in_its_container_along(dockerd, docker, settings, tmp_path):
    engine = Engine(dockerd.host)
    command = [sys.executable, "-c", HOLD, dockerd.host, str(settings.cache_dir), str(tmp_path)]
    with subprocess.Popen(command, cwd=PROJECT) as parent:
        until((tmp_path / "held").exists)
        assert running()
        assert sweep(engine) == ()  # its maker lives
        parent.send_signal(signal.SIGKILL)
    until(lambda: not running())
    (left,) = engine.containers(MAKER)
    assert sweep(engine) == (left.identity,)


def test_what_several_remove_at_once_is_gone_for_all_of_them(dockerd):
    engine = Engine(dockerd.host)
    made = engine.create(IMAGE, ["/none"], labels={MAKER: maker(os.getpid())})
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(engine.remove, [made] * 4)) == [None] * 4
    assert engine.containers(MAKER) == ()


def test_a_sweep_leaves_what_it_cannot_judge(dockerd):
    engine = Engine(dockerd.host)
    boot, numbering, _, started = maker(os.getpid()).split(":")
    names = {
        "lives": maker(os.getpid()),
        "reused": f"{boot}:{numbering}:{os.getpid()}:{int(started) + 1}",
        "elsewhere": f"{boot}:1:{os.getpid()}:{started}",
        "earlier": f"before:{numbering}:{os.getpid()}:{started}",
    }
    made = {name: engine.create(IMAGE, ["/none"], labels={MAKER: label}) for name, label in names.items()}
    try:
        assert set(sweep(engine)) == {made["reused"], made["earlier"]}
    finally:
        for identity in made.values():
            engine.remove(identity)


def test_a_number_that_is_another_process_by_now_names_another_maker():
    assert maker(os.getpid()) == maker(os.getpid()) != maker(os.getppid())
    with subprocess.Popen(["/bin/true"]) as gone:
        gone.wait()
    assert maker(gone.pid) == ""


def test_a_daemon_that_goes_is_no_fault_of_what_it_held(settings):
    with private_daemon() as daemon:
        make_image(Engine(daemon.host), IMAGE)
        isolation = DockerIsolation(Engine(daemon.host), IMAGE, settings.cache_dir)
        command = ["/bin/sh", "-c", f"echo held; exec sleep {MARK}"]
        with HeldProcess(command, isolation=isolation, limits=Limits(), mounts=Mounts()) as process:
            until(lambda: process.output == "held")
            daemon.stop()
            with pytest.raises(SandboxUnavailableError, match="daemon"):
                process.wait(30)
        assert not running()
        with pytest.raises(SandboxUnavailableError, match="no Docker daemon"):
            DockerRung(daemon.host, IMAGE, settings.cache_dir).isolation()
        daemon.start()
        assert DockerRung(daemon.host, IMAGE, settings.cache_dir).isolation().name == "docker"


def test_what_the_kernel_ends_below_the_command_ran_out_of_memory(docker):
    # The command itself goes on; under version 1 of control groups nothing but our first process ends it.
    script = "(exec tail /dev/zero); sleep 60"
    limits = Limits(memory_bytes=64 << 20)
    command = ["/bin/sh", "-c", script]
    with (
        HeldProcess(command, isolation=docker, limits=limits, mounts=Mounts()) as process,
        pytest.raises(ProcessFailedError) as failure,
    ):
        process.wait(30)
    assert failure.value.state is ExitState.OUT_OF_MEMORY


FIRST = """
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
info = (ctypes.c_int * 32)(signal.SIGTERM, 0, -1)  # siginfo_t: queued, by process 0
number = {"x86_64": 129, "aarch64": 138}[os.uname().machine]  # rt_sigqueueinfo
print(libc.syscall(number, 1, signal.SIGTERM, info))
for attack in (
    lambda: os.kill(1, signal.SIGKILL),
    lambda: os.kill(1, signal.SIGTERM),
    lambda: open("/proc/1/mem", "rb+"),
    lambda: os.listdir("/proc/1/fd"),
    lambda: open("/proc/1/environ").read(),
):
    try:
        attack()
    except OSError as error:
        print(type(error).__name__)
"""


def test_the_first_process_of_a_container_is_out_of_reach(docker):
    command = [sys.executable, "-I", "-S", "-c", FIRST]
    with HeldProcess(command, isolation=docker, limits=Limits(), mounts=Mounts()) as process:
        finished = process.wait(30)
    assert finished.code == 0
    assert finished.output.split() == ["0"] + ["PermissionError"] * 3


AS_USER = f"""
import os, sys
from pathlib import Path
from sandbox.docker.engine import Engine
from sandbox.docker.isolation import DockerIsolation
from sandbox.holding import Mounts
from sandbox.process import HeldProcess
from sandbox.trial import self_test
from sandbox.values import Limits
host, cache = sys.argv[1:]
isolation = DockerIsolation(Engine(host), "{IMAGE}", Path(cache))
print(self_test(isolation) or "no hole")  # as root, which also loads what that user may not read
os.setgroups([])
os.setresgid({USER}, {USER}, {USER})
os.setresuid({USER}, {USER}, {USER})
print(self_test(isolation) or "no hole")
script = "id -u; i=0; while [ $i -lt 200 ]; do sleep 60 & i=$((i+1)); done"
limits = Limits(processes=40)
with HeldProcess(["/bin/sh", "-c", script], isolation=isolation, limits=limits, mounts=Mounts()) as process:
    print(process.wait(30).output)
"""


def test_an_ordinary_users_container_is_held_too(dockerd, docker, settings):
    # As it is for members of the group `docker`.
    (dockerd.folder / "docker.sock").chmod(0o666)
    dockerd.folder.chmod(0o711)
    command = [sys.executable, "-c", AS_USER, dockerd.host, str(settings.cache_dir)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[:2] == ["no hole", "no hole"], done
    assert "Cannot fork" in done.stdout
    assert str(USER) in done.stdout


INSIDE = """
from sandbox.isolation import choose_isolation
from tasks.errors import InfraError
try:
    print(choose_isolation().name)
except InfraError as error:
    print(error)
"""


def test_inside_a_container_as_docker_makes_them_nothing_runs(dockerd, docker, settings):
    del docker
    shown = ["/usr", "/etc/ld.so.cache", *map(str, python_paths()), str(settings.cache_dir)]
    binds = [part for place in shown for part in ("--volume", f"{place}:{place}:ro")]
    environment = ["--env", f"KERNELWRIGHT_CACHE_DIR={settings.cache_dir}", "--tmpfs", "/run"]
    command = ["docker", f"--host={dockerd.host}", "run", "--rm", "--network=none", *binds, *environment, IMAGE]
    python = [sys.executable, "-B", "-c", INSIDE]
    done = subprocess.run([*command, *python], capture_output=True, text=True, check=False)
    assert "nothing holds untrusted processes on this machine, so none was started (bubblewrap: " in done.stdout, done
    assert "docker: there is no Docker daemon" in done.stdout
    assert "To remedy it: run outside the container" in done.stdout


def shell_image() -> bytes:
    """An image with a shell and a few programs of this machine, in the place of one from a registry."""
    programs = [Path("/usr/bin", name) for name in ("sh", "mkdir", "touch", "chmod", "ln")]
    listed = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=True).stdout
    libraries = {Path(word) for word in listed.split() if word.startswith("/") and not word.endswith(":")}
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", dereference=True) as archive:
        for name in ("bin", "lib", "lib64"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            archive.addfile(link)
        for file in (*programs, *libraries):
            place = file if file.is_relative_to("/usr") else Path("/usr", file.relative_to("/"))
            archive.add(file, arcname=str(place.relative_to("/")))
    return data.getvalue()


def test_the_dockerfile_makes_an_image_in_which_the_self_test_passes(dockerd, docker, settings):
    del docker
    Engine(dockerd.host).make_image("busybox", shell_image(), [])
    command = ["docker", f"--host={dockerd.host}", "build", "--network=none", "--tag=built", "sandbox/docker"]
    done = subprocess.run(
        command, cwd=PROJECT, env={**os.environ, "DOCKER_BUILDKIT": "0"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert DockerRung(dockerd.host, "built", settings.cache_dir).isolation().name == "docker"
