"""What the sandbox costs: start-up over a plain process, and CPU time of honest work inside over outside.

`python -m benchmarks.sandbox [--repeats 5] [--json]`. Plain runs and those of every way of holding alternate, so that a
busy machine disturbs all alike; CPU time is user and system of the command and all below it. The figures are medians
over the repeats: of the start-up in milliseconds, and of the ratio held to plain; the start-up's minimum is that of a
quiet moment. A start-up is measured from nothing to the end of a command that does nothing: a container is made for it.
What it takes to clear away what held the command is a figure of its own.

Docker is measured with the daemon that the settings name, or with one of this run's own where root can start it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.dockerd import can_start, private_daemon
from sandbox.docker.engine import Engine
from sandbox.docker.image import make_image
from sandbox.docker.rung import DockerRung
from sandbox.errors import SandboxUnavailableError
from sandbox.holding import Isolation, Mounts, child_environment
from sandbox.isolation import choose_isolation
from sandbox.process import HeldProcess
from sandbox.scratch import scratch_folder
from sandbox.settings import IsolationChoice, SandboxSettings
from sandbox.toolchain import find_toolchain
from sandbox.values import Limits

LIMITS = Limits(wall_seconds=600)
STARTS = {"bubblewrap": 60, "docker": 25}
MOST_OVER_MS = {"bubblewrap": 15.0, "docker": 250.0}
"""What a start-up may take over a plain process."""
MOST_RATIO = 1.05
"""What honest work may use of the processor inside, over outside."""
IMAGE = "kernelwright-sandbox"
_TIME = re.compile(r"(\d+)m([\d.]+)s")

HOST_SOURCE = """
#include <algorithm>
#include <iostream>
#include <map>
#include <regex>
int main() {
    std::map<std::string, int> words;
    std::regex word("[a-z]+");
    std::string text;
    while (std::getline(std::cin, text))
        for (std::sregex_iterator it(text.begin(), text.end(), word), end; it != end; ++it) ++words[it->str()];
    std::cout << words.size();
}
"""
DEVICE_SOURCE = """
extern "C" __global__ void step(float* y, const float* x, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    float sum = 0;
#pragma unroll
    for (int k = 0; k < 64; ++k) sum = fmaf(sum, x[(i + k) % n], __expf(x[i] + k));
    if (i < n) y[i] = sum;
}
"""
NVRTC = """
from cuda.bindings import nvrtc
source = open("device.cu").read().encode()
for _ in range(60):
    _, program = nvrtc.nvrtcCreateProgram(source, b"device.cu", 0, [], [])
    (status,) = nvrtc.nvrtcCompileProgram(program, 1, [b"--gpu-architecture=compute_90"])
    assert status == 0, status
"""
TORCH = """
import torch
torch.set_num_threads(1)
x = torch.randn(512, 512)
for _ in range(150):
    x = torch.softmax(x @ x, dim=1)
"""
TRITON = """
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

@triton.jit
def product(x, y, z, n, BLOCK: tl.constexpr):
    row = tl.arange(0, BLOCK)
    sum = tl.zeros((BLOCK, BLOCK), tl.float32)
    for k in range(0, n, BLOCK):
        a = tl.load(x + row[:, None] * n + k + row[None, :])
        b = tl.load(y + (k + row)[:, None] * n + row[None, :])
        sum += tl.dot(a, b)
    tl.store(z + row[:, None] * n + row[None, :], sum)

for block in (16, 32, 64):
    types = {"x": "*fp16", "y": "*fp16", "z": "*fp32", "n": "i32", "BLOCK": "constexpr"}
    source = ASTSource(product, types, {"BLOCK": block})
    triton.compile(source, target=GPUTarget("cuda", 90, 32))
"""
SIMGPU = """
import struct
import numpy as np
from simgpu import DeviceMemory, LaunchOptions, launch, load_module
module = load_module(open("device.ptx").read())
memory = DeviceMemory(64 << 20)
n = 1 << 13
x, y = memory.allocate(4 * n), memory.allocate(4 * n)
memory.view(x, 4 * n)[:] = np.linspace(-1, 1, n, dtype=np.float32).tobytes()
for _ in range(40):
    launch(
        module, "step", grid=(n // 256, 1, 1), block=(256, 1, 1), params=struct.pack("<QQi", y, x, n),
        dynamic_shared=0, memory=memory, options=LaunchOptions(),
    )
"""


@dataclass(frozen=True, slots=True)
class Job:
    """Honest work: files to begin with, and a command in their folder."""

    name: str
    files: dict[str, str]
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time of one job, plain and held in one way."""

    name: str
    isolation: str
    plain_seconds: float
    held_seconds: float
    ratio: float
    """Median over the repeats of held to plain."""


@dataclass(frozen=True, slots=True)
class StartUp:
    """Milliseconds of a process that does nothing."""

    isolation: str
    plain: float
    held: float
    over: float
    """Median of the differences."""
    least_over: float
    """Difference of the two minima."""
    clearing: float
    """Median of what it takes until nothing of it is left, after the command has ended."""


def _jobs(ptx: str) -> list[Job]:
    tools = find_toolchain()
    python = (sys.executable, "-I", "-B", "job.py")
    nvcc = (str(tools.nvcc), "-arch=sm_90", "-ccbin", str(tools.gxx), "-cubin", "device.cu")
    jobs = [
        Job("g++", {"host.cpp": HOST_SOURCE}, (str(tools.gxx), "-O2", "-o", "host", "host.cpp")),
        Job("nvcc", {"device.cu": DEVICE_SOURCE}, nvcc),
        Job("NVRTC", {"device.cu": DEVICE_SOURCE, "job.py": NVRTC}, python),
        Job("torch", {"job.py": TORCH}, python),
        Job("simgpu", {"device.ptx": ptx, "job.py": SIMGPU}, python),
    ]
    return [*jobs, Job("Triton", {"job.py": TRITON}, python)] if find_spec("triton") else jobs


def _device_ptx() -> str:
    """Compile the device source once, for the simulator."""
    tools = find_toolchain()
    with scratch_folder() as folder:
        (folder / "device.cu").write_text(DEVICE_SOURCE, encoding="utf-8")
        command = [str(tools.nvcc), "-arch=compute_90", "-ccbin", str(tools.gxx), "-ptx", "device.cu"]
        subprocess.run(command, cwd=folder, check=True)
        return (folder / "device.ptx").read_text(encoding="utf-8")


def _plain(command: Sequence[str], folder: Path | None) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=child_environment(folder),
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr}")
    return done.stdout


def _held(isolation: Isolation, command: Sequence[str], folder: Path | None) -> str:
    mounts = Mounts(writable=(folder,), folder=folder) if folder else Mounts()
    with HeldProcess(command, isolation=isolation, limits=LIMITS, mounts=mounts, home=folder) as process:
        finished = process.wait(LIMITS.wall_seconds)
    if finished.code:
        raise RuntimeError(f"{command[0]} failed in the sandbox: {finished.output}")
    return finished.output


def _cpu_seconds(job: Job, isolation: Isolation | None) -> float:
    # What a sandbox's processes used is not handed on to this one, so a shell around the command asks for it.
    command = ["/bin/sh", "-c", f"{shlex.join(job.command)} >/dev/null && times"]
    with scratch_folder() as folder:
        for name, text in job.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        said = _plain(command, folder) if isolation is None else _held(isolation, command, folder)
    return sum(60 * float(minutes) + float(seconds) for minutes, seconds in _TIME.findall(said.splitlines()[-1]))


def _costs(job: Job, isolations: Sequence[Isolation], repeats: int) -> list[Cost]:
    _cpu_seconds(job, None)  # fills the page cache
    plain: list[float] = []
    held: dict[str, list[float]] = {isolation.name: [] for isolation in isolations}
    for _ in range(repeats):
        plain.append(_cpu_seconds(job, None))
        for isolation in isolations:
            held[isolation.name].append(_cpu_seconds(job, isolation))
    return [
        Cost(
            name=job.name,
            isolation=name,
            plain_seconds=statistics.median(plain),
            held_seconds=statistics.median(seconds),
            ratio=statistics.median(inside / outside for inside, outside in zip(seconds, plain, strict=True)),
        )
        for name, seconds in held.items()
    ]


def _start_up(isolation: Isolation) -> StartUp:
    plain, held, clearing = [], [], []
    for number in range(STARTS[isolation.name] + 1):
        begun = time.perf_counter()
        _plain(["/bin/true"], None)
        between = time.perf_counter()
        with HeldProcess(["/bin/true"], isolation=isolation, limits=LIMITS, mounts=Mounts()) as process:
            process.wait(LIMITS.wall_seconds)
            ended = time.perf_counter()
        if number:  # the first loads what stays loaded
            plain.append(1000 * (between - begun))
            held.append(1000 * (ended - between))
            clearing.append(1000 * (time.perf_counter() - ended))
    return StartUp(
        isolation=isolation.name,
        plain=statistics.median(plain),
        held=statistics.median(held),
        over=statistics.median(inside - outside for inside, outside in zip(held, plain, strict=True)),
        least_over=min(held) - min(plain),
        clearing=statistics.median(clearing),
    )


@contextmanager
def _isolations() -> Iterator[list[Isolation]]:
    """Give what holds processes here: bubblewrap, and Docker where there is a daemon or one can be started."""
    settings = SandboxSettings.load()
    bubblewrap = choose_isolation(IsolationChoice.BUBBLEWRAP)
    try:
        docker = choose_isolation(IsolationChoice.DOCKER)
    except SandboxUnavailableError as error:
        if not can_start():
            print(f"Docker is not measured: {error}", file=sys.stderr)
            yield [bubblewrap]
            return
    else:
        yield [bubblewrap, docker]
        return
    with private_daemon() as daemon:
        make_image(Engine(daemon.host), IMAGE)
        yield [bubblewrap, DockerRung(daemon.host, IMAGE, settings.cache_dir).isolation()]


def _print(starts: Sequence[StartUp], costs: Sequence[Cost]) -> None:
    console = Console()
    table = Table(
        "start-up, ms", "plain", "held", "over", "least over", "at most", title=f"load {os.getloadavg()[0]:.1f}"
    )
    for one in starts:
        figures = (f"{value:.1f}" for value in (one.plain, one.held, one.over, one.least_over))
        table.add_row(one.isolation, *figures, f"{MOST_OVER_MS[one.isolation]:.0f}")
    console.print(table)
    table = Table("work", "isolation", "CPU plain, s", "CPU held, s", "ratio", "at most")
    for cost in costs:
        seconds = (f"{cost.plain_seconds:.2f}", f"{cost.held_seconds:.2f}")
        table.add_row(cost.name, cost.isolation, *seconds, f"{cost.ratio:.3f}", f"{MOST_RATIO}")
    console.print(table)


def main() -> None:
    """Measure, and print a table or figures alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with _isolations() as isolations:
        starts = [_start_up(isolation) for isolation in isolations]
        costs = [cost for job in _jobs(_device_ptx()) for cost in _costs(job, isolations, given.repeats)]
    if given.json:
        print(json.dumps({"start_up_ms": [asdict(one) for one in starts], "costs": [asdict(cost) for cost in costs]}))
        return
    _print(starts, costs)


if __name__ == "__main__":
    main()
