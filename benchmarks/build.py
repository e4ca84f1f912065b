"""Measures what a build costs: PyTorch's own builder, our light headers, `raw` through NVRTC, and a hit of the cache.

Run it with `python benchmarks/build.py`, or with `--json` for figures alone. Every source is built once in each way, by
turns. A build's figure is CPU time, user and system, of all its processes. PyTorch's is the nvcc call that
`torch.utils.cpp_extension` writes for the unmodified source, up to the object file; ours goes on to a shared object
that can be called. A hit of the cache is wall time, of the second build in one process. `ninja` must be installed,
since PyTorch's builder speaks through it.
"""

# ruff: noqa: E402 - the path must be right before the first import of ours

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(_ROOT))

from rich.console import Console
from rich.table import Table
from torch.utils import cpp_extension

from sandbox.build import build
from sandbox.settings import HeaderChoice, IsolationChoice, SandboxSettings
from sandbox.toolchain import cuda_root, find_toolchain
from sandbox.values import Candidate, Language, SourceFile

_SOURCES = _ROOT / "tests" / "sandbox" / "extensions" / "sources"
_NAMES = ("relu_basic", "half2_axpy", "launch_bounds", "vector_loads", "conv2d_lists")
"""Sources of the corpus that include torch/extension.h and nothing that PyTorch's CPU wheel lacks."""
_ARCH = "sm_90"
_TARGETS = {"light": 20.0, "raw": 60.0}
_HIT_TARGET_MS = 50.0
_HIT_PASSES = 20


@dataclass(frozen=True, slots=True)
class Row:
    """One source: CPU seconds of each build, and milliseconds of a hit."""

    source: str
    torch: float
    light: float
    raw: float
    hit_ms: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="figures alone")
    parser.add_argument("sources", nargs="*", default=_NAMES, metavar="SOURCE", help=f"of {', '.join(_NAMES)}")
    options = parser.parse_args()
    if shutil.which("ninja") is None:
        sys.exit("ninja is not installed; run: pip install ninja")
    with tempfile.TemporaryDirectory(prefix="kernelwright-bench-") as folder:
        rows = [measured(name, Path(folder)) for name in options.sources]
    ratios = {kind: statistics.median(row.torch / getattr(row, kind) for row in rows) for kind in _TARGETS}
    hit = statistics.median(row.hit_ms for row in rows)
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.0f}"
    if options.json:
        document = {"rows": [asdict(row) for row in rows], "ratios": ratios, "hit_ms": hit, "machine": machine}
        print(json.dumps(document | {"toolchain": find_toolchain().identity}, indent=1))
    else:
        show(rows, ratios, hit, machine)


def measured(name: str, folder: Path) -> Row:
    """Measure a source and say at once what came of it: the next one takes minutes."""
    row = measure(name, folder)
    print(asdict(row), file=sys.stderr, flush=True)
    return row


def measure(name: str, folder: Path) -> Row:
    """Build one source in every way, each without anything from a cache but the hit."""
    text = (_SOURCES / f"{name}.cu").read_text(encoding="utf-8")
    # Processes in a namespace of their own report no CPU time to us.
    settings = SandboxSettings(
        cache_dir=folder / name, isolation=IsolationChoice.PROCESS, headers=HeaderChoice.LIGHT, compile_seconds=600
    )
    extension = Candidate(language=Language.CUDA, files=(SourceFile(name=f"{name}.cu", text=text),))
    raw = raw_candidate(name, text)
    # What a machine compiles or looks up once is no part of a build.
    build(raw_candidate("warm", _WARM), _ARCH, settings)
    light_seconds = cpu_seconds(lambda: build(extension, _ARCH, settings))
    raw_seconds = cpu_seconds(lambda: build(raw, _ARCH, settings))
    command = torch_command(_SOURCES / f"{name}.cu", folder)
    torch_seconds = cpu_seconds(lambda: subprocess.run(command, shell=True, check=True, capture_output=True))  # noqa: S602 - ninja's own spelling
    return Row(name, torch_seconds, light_seconds, raw_seconds, hit_milliseconds(extension, settings))


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return user and system time of the work's child processes, of this process too."""
    before = _used()
    work()
    return _used() - before


def _used() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def hit_milliseconds(candidate: Candidate, settings: SandboxSettings) -> float:
    """Return the median wall time of a build that stands in the cache."""
    times = []
    for _ in range(_HIT_PASSES):
        start = time.perf_counter()
        assert build(candidate, _ARCH, settings).cached
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def torch_command(source: Path, folder: Path) -> str:
    """Return the nvcc call that PyTorch's builder writes for a source."""
    os.environ["TORCH_CUDA_ARCH_LIST"] = "9.0"
    # A build of PyTorch without CUDA looks for none.
    cpp_extension.CUDA_HOME = str(cuda_root())
    place = folder / f"{source.stem}-torch"
    place.mkdir()
    cpp_extension._write_ninja_file_to_build_library(  # noqa: SLF001 - its public functions would run it under ninja
        path=str(place / "build.ninja"),
        name=source.stem,
        sources=[str(source)],
        extra_cflags=[],
        extra_cuda_cflags=[],
        extra_sycl_cflags=[],
        extra_ldflags=[],
        extra_include_paths=[],
        with_cuda=True,
        with_sycl=False,
        is_standalone=False,
    )
    listed = subprocess.run(["ninja", "-C", str(place), "-t", "commands"], capture_output=True, text=True, check=True)
    compiling = next(line for line in listed.stdout.splitlines() if "nvcc" in line and str(source) in line)
    return f"cd {place} && {compiling}"


_WARM = "__global__ void warm(float* x) { x[0] = 1.0f; }\n"
_SPEC = """\
inputs = ["x"]
[[outputs]]
name = "y"
dtype = "x"
shape = ["x.shape[0]"]
[[launches]]
kernel = "{kernel}"
grid = [1]
block = [32]
args = ["x", "y"]
"""


def raw_candidate(name: str, text: str) -> Candidate:
    """Return the device code of an extension as a candidate of its own."""
    device = text.split("torch::Tensor forward", 1)[0].split("torch::Tensor conv2d", 1)[0]
    kept = [
        line for line in device.splitlines() if not re.match(r"#include <(torch|vector|cuda\.h|cuda_runtime)", line)
    ]
    code = "\n".join(kept).replace("__global__", 'extern "C" __global__') + "\n"
    kernel = re.search(r"(\w+)\s*\(\s*(?:const|float|int)", code.split("__global__", 1)[1])
    assert kernel is not None
    spec = _SPEC.format(kernel=kernel[1])
    files = (SourceFile(name=f"{name}.cu", text=code), SourceFile(name="launch.toml", text=spec))
    return Candidate(language=Language.RAW, files=files)


def show(rows: list[Row], ratios: dict[str, float], hit: float, machine: str) -> None:
    """Print the tables for a person."""
    console = Console()
    table = Table(title="CPU seconds of one build", title_justify="left")
    for heading in ("source", "torch.utils.cpp_extension", "light headers", "×", "raw", "×", "cache hit, ms"):
        table.add_column(heading, justify="left" if heading == "source" else "right")
    for row in rows:
        figures = (row.torch, row.light, row.torch / row.light, row.raw, row.torch / row.raw, row.hit_ms)
        table.add_row(row.source, *(f"{figure:.2f}" for figure in figures))
    console.print(table)
    for kind, ratio in ratios.items():
        verdict = "reached" if ratio >= _TARGETS[kind] else "missed"
        console.print(f"{kind}: {ratio:.1f} times less, median; target {_TARGETS[kind]:.0f}, {verdict}")
    console.print(f"cache hit: {hit:.1f} ms, median; target {_HIT_TARGET_MS:.0f}")
    console.print(f"{find_toolchain().identity}; {machine}")


if __name__ == "__main__":
    main()
