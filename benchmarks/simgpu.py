"""Measures the simulator: CPU time of five kernels against native C, Triton's interpreter, and its compile time.

Run it with `python benchmarks/simgpu.py`, or with `--json` for figures alone. Every figure is CPU time of the whole
process, user and system, all threads: 5 launches, the median of 3 passes, after one launch that is not counted.
"""

# ruff: noqa: E402 - the path must be right before the first import of ours

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != _HERE]  # this file is called simgpu too
sys.path[:0] = [str(_HERE.parent), str(_HERE / "workloads")]

import numpy as np
from rich.console import Console
from rich.table import Table

from simgpu import DeviceMemory, LaunchOptions, Module, launch, load_module
from simgpu.codegen.program import Variant
from simgpu.objects import ObjectCache
from simgpu.ptx.parser import parse_module
from simgpu.ptx.syntax import Instruction
from simgpu.runtime.engine import load_runtime

_LAUNCHES, _PASSES = 5, 3
_NATIVE_FLAGS = ("-O3", "-march=native")
_N = 1 << 22

Job = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Row:
    """One kernel's CPU milliseconds per launch."""

    kernel: str
    native: float
    unchecked: float
    checked: float
    triton: float | None = None
    triton_checked: float | None = None
    interpreter: float | None = None

    @property
    def ratios(self) -> tuple[float, ...]:
        """CPU time over native C's, checks off: of the CUDA kernel, and of the Triton kernel where there is one."""
        return tuple(time / self.native for time in (self.unchecked, self.triton) if time is not None)


@dataclass(frozen=True, slots=True)
class CompileTimes:
    """CPU seconds from PTX text to machine code of one kernel, the runtime's own code left out."""

    instructions: int
    unchecked: float
    checked: float
    cached: float
    """Checks on, the machine code on disk already."""


@dataclass(frozen=True, slots=True)
class Results:
    """All figures and the machine that gave them."""

    processor: str
    cores: int
    compiler: str
    rows: tuple[Row, ...]
    geometric_mean: float
    worst: float
    checks_factor: float
    """Geometric mean of CPU time with checks over without."""
    triton_saving: float | None
    """Least factor between Triton's interpreter and simgpu, checks off."""
    compile: CompileTimes


def measure(job: Job) -> float:
    """Return a job's CPU milliseconds."""
    job()
    passes = []
    for _ in range(_PASSES):
        start = time.process_time()
        for _ in range(_LAUNCHES):
            job()
        passes.append((time.process_time() - start) / _LAUNCHES)
    return 1e3 * statistics.median(passes)


def arrays() -> dict[str, np.ndarray]:
    """Return the kernels' data."""
    generator = np.random.default_rng(0)
    sizes = {"a": _N, "b": _N, "c": _N, "x": 256 * 4096, "y": 256 * 4096, "l": 512**2, "r": 512**2, "p": 512**2, "t": 1}
    return {name: generator.random(size, np.float32) for name, size in sizes.items()}


def native_jobs(folder: Path, data: dict[str, np.ndarray]) -> dict[str, Job]:
    """Build the C++ functions and return a call of each."""
    library = folder / "native.so"
    sources = [_HERE / "workloads" / name for name in ("native.cpp", "native_softmax.cpp")]
    for source, extra in zip(sources, ((), ("-ffast-math",)), strict=True):
        command = ["g++", *_NATIVE_FLAGS, *extra, "-fPIC", "-c", "-o", folder / f"{source.stem}.o", source]
        subprocess.run(command, check=True)
    objects = [folder / f"{source.stem}.o" for source in sources]
    subprocess.run(["g++", "-shared", "-o", library, *objects], check=True)
    native = ctypes.CDLL(str(library))
    at = {name: ctypes.c_void_p(array.ctypes.data) for name, array in data.items()}
    return {
        "vadd": lambda: native.vadd(at["a"], at["b"], at["c"], _N),
        "softmax": lambda: native.softmax(at["x"], at["y"], 256, 4096),
        "sgemm": lambda: native.sgemm(at["l"], at["r"], at["p"], 512),
        "reduce": lambda: native.reduce(at["a"], at["t"], _N),
        "transpose": lambda: native.transpose(at["a"], at["b"], 2048),
    }


def compile_ptx(folder: Path) -> str:
    """Compile the CUDA kernels with the toolkit of the wheels."""
    (toolkit,) = (Path(place) / "cu13" for place in find_spec("nvidia").submodule_search_locations)
    output = folder / "kernels.ptx"
    command = [toolkit / "bin" / "nvcc", "--ptx", "-arch=sm_80", "-lineinfo", "-o", output]
    subprocess.run([*command, _HERE / "workloads" / "kernels.cu"], check=True)
    return output.read_text()


def simulator_jobs(module: Module, data: dict[str, np.ndarray], *, checks: bool) -> dict[str, Job]:
    """Return a launch of each CUDA kernel on the simulated card; blocks run on all cores."""
    memory = DeviceMemory(1 << 30)
    at = {}
    for name, array in data.items():
        at[name] = memory.allocate(array.nbytes, name)
        memory.view(at[name], array.nbytes)[:] = array.tobytes()

    def job(kernel: str, grid: tuple[int, ...], block: tuple[int, ...], names: str, size: int) -> Job:
        params = b"".join(at[name].to_bytes(8, "little") for name in names) + size.to_bytes(4, "little")

        def run() -> None:
            report = launch(
                module, kernel, grid=(*grid, 1, 1)[:3], block=(*block, 1, 1)[:3], params=params, dynamic_shared=0,
                memory=memory, options=LaunchOptions(checks=checks),
            )  # fmt: skip
            assert report.ok, report.diagnostics

        return run

    return {
        "vadd": job("vadd", (_N // 256,), (256,), "abc", _N),
        "softmax": job("softmax", (256,), (256,), "xy", 4096),
        "sgemm": job("sgemm", (32, 32), (16, 16), "lrp", 512),
        "reduce": job("reduce", (_N // 256,), (256,), "at", _N),
        "transpose": job("transpose", (128, 128), (16, 16), "ab", 2048),
    }


def triton_times(*, checks: bool) -> dict[str, float]:
    """Measure the Triton kernels on the simulated card, their tensors in its memory."""
    from triton_kernels import launches  # noqa: PLC0415 - Triton is optional

    from simgpu.triton import install  # noqa: PLC0415 - likewise

    with install("h100", memory=DeviceMemory(1 << 30), options=LaunchOptions(checks=checks)) as card:
        return {name: measure(job) for name, job in launches(card.place).items()}


def interpreter_times() -> dict[str, float]:
    """Measure the Triton kernels in Triton's interpreter, in a process of its own: single launches."""
    command = [sys.executable, _HERE / "workloads" / "interpreter.py"]
    done = subprocess.run(
        command, env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def compile_times(ptx: str, folder: Path) -> CompileTimes:
    """Measure the compilation of the kernel of about 2,000 instructions."""
    load_runtime()

    def seconds(*, checks: bool) -> float:
        start = time.process_time()
        module = load_module(alone, ObjectCache(folder / "objects"))
        module.kernels["register_tiles"].compile(Variant((64, 1, 1), checks=checks, counters=False))
        return time.process_time() - start

    alone = single_kernel(ptx, "register_tiles")
    (kernel,) = parse_module(alone).functions
    count = sum(isinstance(item, Instruction) for item in kernel.body or ())
    return CompileTimes(count, seconds(checks=False), seconds(checks=True), seconds(checks=True))


def single_kernel(ptx: str, name: str) -> str:
    """Return PTX with one kernel of a module only."""
    head, *kernels = ptx.split("\t// .globl\t")
    (own,) = (text for text in kernels if text.startswith(f"{name}\n"))
    return head + own.removeprefix(name)


def run(folder: Path) -> Results:
    """Take all measurements."""
    data, ptx = arrays(), compile_ptx(folder)
    module = load_module(ptx)
    native = {name: measure(job) for name, job in native_jobs(folder, data).items()}
    unchecked = {name: measure(job) for name, job in simulator_jobs(module, data, checks=False).items()}
    checked = {name: measure(job) for name, job in simulator_jobs(module, data, checks=True).items()}
    triton = triton_checked = interpreter = dict.fromkeys(native)
    if find_spec("triton") is not None:
        triton, triton_checked = triton_times(checks=False), triton_times(checks=True)
        interpreter = interpreter_times()
    rows = tuple(
        Row(name, native[name], unchecked[name], checked[name], triton[name], triton_checked[name], interpreter[name])
        for name in native
    )
    version = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return Results(
        processor(), os.cpu_count() or 1, f"{version}, {' '.join(_NATIVE_FLAGS)}", rows,
        statistics.geometric_mean(ratio for row in rows for ratio in row.ratios),
        max(max(row.ratios) for row in rows),
        statistics.geometric_mean(row.checked / row.unchecked for row in rows),
        min((row.interpreter / row.triton for row in rows if row.triton and row.interpreter), default=None),
        compile_times(ptx, folder),
    )  # fmt: skip


def processor() -> str:
    """Name this machine's processor."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def table(results: Results) -> Table:
    """Lay the figures out."""
    shown = Table(title="CPU milliseconds per launch (user and system, all threads)")
    columns = (
        "kernel",
        "native C",
        "simgpu",
        "× native",
        "checks on",
        "× off",
        "Triton",
        "× native",
        "checks on",
        "interpreter",
        "× Triton",
    )
    for number, column in enumerate(columns):
        shown.add_column(column, justify="right" if number else "left")
    for row in results.rows:
        saving = row.interpreter / row.triton if row.triton and row.interpreter else None
        figures = (
            row.native, row.unchecked, row.ratios[0], row.checked, row.checked / row.unchecked,
            row.triton, row.ratios[-1] if row.triton else None, row.triton_checked, row.interpreter, saving,
        )  # fmt: skip
        shown.add_row(row.kernel, *("–" if figure is None else f"{figure:,.1f}" for figure in figures))
    return shown


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = run(Path(folder))
    if arguments.json:
        print(json.dumps(asdict(results), indent=2))
        return
    console = Console(width=120)
    console.print(f"{results.processor}, {results.cores} cores; {results.compiler}")
    console.print(table(results))
    console.print(f"checks off, over native C: geometric mean {results.geometric_mean:.1f}, worst {results.worst:.1f}")
    console.print(f"checks on, over checks off: geometric mean {results.checks_factor:.2f}")
    if results.triton_saving is not None:
        console.print(f"Triton's interpreter takes at least {results.triton_saving:.0f} times the CPU time")
    compile_ = results.compile
    console.print(
        f"compiling {compile_.instructions} PTX instructions: {compile_.unchecked:.2f} s, with checks "
        f"{compile_.checked:.2f} s, from the cache {compile_.cached:.2f} s"
    )


if __name__ == "__main__":
    main()
