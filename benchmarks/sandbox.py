"""What the sandbox costs: start-up over a plain process, and CPU time of honest work inside over outside.

`python -m benchmarks.sandbox [--repeats 5] [--json]`. Plain and held runs alternate, so that a busy machine disturbs
both alike; CPU time is user and system of the command and all below it. The figures are medians over the repeats:
of the start-up in milliseconds, and of the ratio held to plain; the start-up's minimum is that of a quiet moment.
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
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sandbox.holding import Isolation, Mounts, child_environment
from sandbox.isolation import choose_isolation
from sandbox.process import HeldProcess
from sandbox.scratch import scratch_folder
from sandbox.toolchain import find_toolchain
from sandbox.values import Limits

LIMITS = Limits(wall_seconds=600)
STARTS = 60
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
    """CPU time of one job."""

    name: str
    plain_seconds: float
    held_seconds: float
    ratio: float
    """Median over the repeats of held to plain."""


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


def _cost(job: Job, isolation: Isolation, repeats: int) -> Cost:
    _cpu_seconds(job, None)  # fills the page cache
    plain, held = [], []
    for _ in range(repeats):
        plain.append(_cpu_seconds(job, None))
        held.append(_cpu_seconds(job, isolation))
    ratios = [inside / outside for inside, outside in zip(held, plain, strict=True)]
    return Cost(job.name, statistics.median(plain), statistics.median(held), statistics.median(ratios))


def _start_up(isolation: Isolation) -> dict[str, float]:
    """Return milliseconds of a plain process, of a held one, and of their difference."""
    plain, held = [], []
    for number in range(STARTS + 1):
        for times, run in (
            (plain, lambda: _plain(["/bin/true"], None)),
            (held, lambda: _held(isolation, ["/bin/true"], None)),
        ):
            start = time.perf_counter()
            run()
            if number:  # the first loads what stays loaded
                times.append(1000 * (time.perf_counter() - start))
    over = [inside - outside for inside, outside in zip(held, plain, strict=True)]
    return {
        "plain": statistics.median(plain),
        "held": statistics.median(held),
        "over": statistics.median(over),
        "least over": min(held) - min(plain),
    }


def main() -> None:
    """Measure, and print a table or figures alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    isolation = choose_isolation()
    start_up = _start_up(isolation)
    costs = [_cost(job, isolation, given.repeats) for job in _jobs(_device_ptx())]
    if given.json:
        report = {"isolation": isolation.name, "start_up_ms": start_up, "costs": [asdict(cost) for cost in costs]}
        print(json.dumps(report))
        return
    console = Console()
    figures = ", ".join(f"{name} {value:.1f} ms" for name, value in start_up.items())
    console.print(f"{isolation.name}; start-up: {figures}; load {os.getloadavg()[0]:.1f}")
    table = Table("work", "CPU plain, s", "CPU held, s", "ratio")
    for cost in costs:
        table.add_row(cost.name, f"{cost.plain_seconds:.2f}", f"{cost.held_seconds:.2f}", f"{cost.ratio:.3f}")
    console.print(table)


if __name__ == "__main__":
    main()
