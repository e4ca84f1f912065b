"""Measures the simulator: CPU time of five kernels against native C, Triton's interpreter, and its compile time.

Run it with `python benchmarks/simgpu.py`, or with `--json` for figures alone. Every figure is CPU time of the whole
process, user and system, all threads: 5 launches, the median of 3 passes, after one launch that is not counted. That
first launch's result is compared with the native code's; nothing is timed that computes something else.
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
from inputs import FULL, OUTPUTS, TINY, Sizes, arrays, check
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
_FAST = "-ffast-math"

Data = dict[str, np.ndarray]
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
class Aside:
    """A figure that another choice would have given."""

    what: str
    milliseconds: float
    ratio: float
    """Over native C's time for the same kernel, or of the simulated CUDA kernel over it where it is native."""


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
    asides: tuple[Aside, ...]
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


def build_native(folder: Path, sources: dict[str, tuple[str, ...]]) -> ctypes.CDLL:
    """Compile C++ sources, each with flags of its own besides the common ones, and load them together."""
    objects = []
    for source, extra in sources.items():
        objects.append(folder / f"{len(list(folder.iterdir()))}.o")
        command = ["g++", *_NATIVE_FLAGS, *extra, "-fPIC", "-c", "-o", objects[-1], _HERE / "workloads" / source]
        subprocess.run(command, check=True)
    library = folder / f"{len(list(folder.iterdir()))}.so"
    subprocess.run(["g++", "-shared", "-o", library, *objects], check=True)
    return ctypes.CDLL(str(library))


def native_jobs(native: ctypes.CDLL, data: Data, sizes: Sizes) -> dict[str, Job]:
    """Return a call of each C++ function."""
    at = {name: ctypes.c_void_p(array.ctypes.data) for name, array in data.items()}
    return {
        "vadd": lambda: native.vadd(at["a"], at["q"], at["c"], sizes.elements),
        "softmax": lambda: native.softmax(at["x"], at["y"], sizes.rows, sizes.columns),
        "sgemm": lambda: native.sgemm(at["l"], at["r"], at["p"], sizes.product),
        "reduce": lambda: native.reduce(at["a"], at["t"], sizes.elements),
        "transpose": lambda: native.transpose(at["a"], at["b"], sizes.side),
    }


def compile_ptx(folder: Path) -> str:
    """Compile the CUDA kernels with the toolkit of the wheels."""
    (toolkit,) = (Path(place) / "cu13" for place in find_spec("nvidia").submodule_search_locations)
    output = folder / "kernels.ptx"
    command = [toolkit / "bin" / "nvcc", "--ptx", "-arch=sm_80", "-lineinfo", "-o", output]
    subprocess.run([*command, _HERE / "workloads" / "kernels.cu"], check=True)
    return output.read_text()


class SimulatedCard:
    """The CUDA kernels and their data on a simulated card; blocks run on all cores."""

    def __init__(self, module: Module, sizes: Sizes) -> None:
        self._module, self._sizes, self._memory = module, sizes, DeviceMemory(1 << 30)
        self._data = arrays(sizes)
        self._at = {name: self._memory.allocate(array.nbytes, name) for name, array in self._data.items()}
        for name, array in self._data.items():
            self._memory.view(self._at[name], array.nbytes)[:] = array.tobytes()

    def output(self, kernel: str) -> np.ndarray:
        """Return what a kernel has written."""
        name = OUTPUTS[kernel]
        return np.frombuffer(bytes(self._memory.view(self._at[name], self._data[name].nbytes)), np.float32)

    def jobs(self, *, checks: bool) -> dict[str, Job]:
        """Return a launch of each kernel."""
        sizes, options = self._sizes, LaunchOptions(checks=checks)

        def job(kernel: str, grid: tuple[int, ...], block: tuple[int, ...], names: str, size: int) -> Job:
            params = b"".join(self._at[name].to_bytes(8, "little") for name in names) + size.to_bytes(4, "little")

            def run() -> None:
                report = launch(
                    self._module, kernel, grid=(*grid, 1, 1)[:3], block=(*block, 1, 1)[:3], params=params,
                    dynamic_shared=0, memory=self._memory, options=options,
                )  # fmt: skip
                assert report.ok, report.diagnostics

            return run

        tiles, squares = sizes.product // 16, sizes.side // 16
        return {
            "vadd": job("vadd", (sizes.elements // 256,), (256,), "aqc", sizes.elements),
            "softmax": job("softmax", (sizes.rows,), (256,), "xy", sizes.columns),
            "sgemm": job("sgemm", (tiles, tiles), (16, 16), "lrp", sizes.product),
            "reduce": job("reduce", (sizes.elements // 256,), (256,), "at", sizes.elements),
            "transpose": job("transpose", (squares, squares), (16, 16), "ab", sizes.side),
        }


def cuda_times(module: Module, sizes: Sizes, expected: Data, *, checks: bool) -> dict[str, float]:
    """Measure the CUDA kernels on the simulated card."""
    card = SimulatedCard(module, sizes)
    times = {}
    for name, job in card.jobs(checks=checks).items():
        job()
        check(name, card.output(name), expected[name], "CUDA")
        times[name] = measure(job)
    return times


def triton_times(sizes: Sizes, expected: Data, *, checks: bool) -> dict[str, float]:
    """Measure the Triton kernels on the simulated card, their tensors in its memory."""
    from triton_kernels import launches  # noqa: PLC0415 - Triton is optional

    from simgpu.triton import install  # noqa: PLC0415 - likewise

    times = {}
    with install("h100", memory=DeviceMemory(1 << 30), options=LaunchOptions(checks=checks)) as card:
        for name, each in launches(card.place, sizes).items():
            each.run()
            kernel = name.rstrip("32")
            check(kernel, each.output.numpy(), expected[kernel], "Triton")
            times[name] = measure(each.run)
    return times


def interpreter_times(sizes: Sizes) -> dict[str, float]:
    """Measure the Triton kernels in Triton's interpreter, in a process of its own: single launches."""
    command = [sys.executable, _HERE / "workloads" / "interpreter.py", *(["--tiny"] if sizes == TINY else [])]
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


def native_times(folder: Path, sizes: Sizes) -> tuple[dict[str, float], Data, float]:
    """Measure the C++ functions; return their times, their outputs, and the time of the sum with `-ffast-math`."""
    data = arrays(sizes)
    jobs = native_jobs(build_native(folder, {"native.cpp": (), "native_softmax.cpp": (_FAST,)}), data, sizes)
    expected, times = {}, {}
    for name, job in jobs.items():
        job()
        expected[name] = data[OUTPUTS[name]].copy()
        times[name] = measure(job)
    fast = native_jobs(build_native(folder, {"native.cpp": (_FAST,), "native_softmax.cpp": ()}), data, sizes)
    return times, expected, measure(fast["reduce"])


def run(folder: Path, sizes: Sizes) -> Results:
    """Take all measurements."""
    ptx = compile_ptx(folder)
    module = load_module(ptx)
    native, expected, fast_sum = native_times(folder, sizes)
    unchecked, checked = (cuda_times(module, sizes, expected, checks=checks) for checks in (False, True))
    asides = [Aside(f"reduce, native with {_FAST}", fast_sum, unchecked["reduce"] / fast_sum)]
    triton = triton_checked = interpreter = dict.fromkeys(native)
    if find_spec("triton") is not None:
        triton, triton_checked = (triton_times(sizes, expected, checks=checks) for checks in (False, True))
        interpreter = interpreter_times(sizes)
        small = triton["sgemm32"]
        asides.append(Aside("sgemm, Triton's tiles of 32 by 32 by 32", small, small / native["sgemm"]))
    rows = tuple(
        Row(name, native[name], unchecked[name], checked[name], triton[name], triton_checked[name], interpreter[name])
        for name in native
    )
    version = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return Results(
        processor(), os.cpu_count() or 1, f"{version}, {' '.join(_NATIVE_FLAGS)}", rows, tuple(asides),
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
    parser.add_argument("--tiny", action="store_true", help="run tiny problems, to see that everything works")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = run(Path(folder), TINY if arguments.tiny else FULL)
    if arguments.json:
        print(json.dumps(asdict(results), indent=2))
        return
    console = Console(width=120)
    console.print(f"{results.processor}, {results.cores} cores; {results.compiler}")
    console.print(table(results))
    for aside in results.asides:
        console.print(f"{aside.what}: {aside.milliseconds:.2f} ms, ratio {aside.ratio:.1f}")
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
