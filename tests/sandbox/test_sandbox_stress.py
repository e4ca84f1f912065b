"""Many processes on one build cache: nobody loads another's module, and a killed build harms nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sandbox.build import build
from sandbox.candidate import open_candidate
from sandbox.devices import parse_device
from sandbox.scratch import sweep
from sandbox.settings import SandboxSettings
from sandbox.values import Build, Candidate, Language, SourceFile, Tensor
from tasks.values import DType

PROCESSES = 8
ROOT = Path(__file__).parents[2]


def identity_candidate(number: int) -> Candidate:
    """All alike but for the number that their kernel gives."""
    text = f"""
#include <torch/extension.h>
__global__ void identity_kernel(float* y) {{ y[0] = {number}.0f; }}
torch::Tensor forward(torch::Tensor x) {{
    auto y = torch::empty({{1}}, x.options());
    identity_kernel<<<1, 1>>>(y.data_ptr<float>());
    return y;
}}
"""
    return Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=text),))


def identity_of(built: Build, settings: SandboxSettings) -> float:
    x = Tensor(dtype=DType.FLOAT32, shape=(1,), data=bytes(4))
    with open_candidate(built, parse_device("sim:h100"), settings=settings) as session:
        execution = session.call([x])
    assert execution.state.value == "ok", execution.message
    return float(np.frombuffer(execution.outputs[0].data, "f4")[0])


def work(root: Path, number: int) -> None:
    """Build and load what all share and one's own, in an order of one's own (in a process of its own)."""
    settings = SandboxSettings(cache_dir=root)
    mine = [1000, 2000, number]
    order = mine[number % 3 :] + mine[: number % 3]
    found = {wanted: identity_of(build(identity_candidate(wanted), "sm_90", settings), settings) for wanted in order}
    sys.stdout.write(json.dumps(found))


def start(root: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, __file__, str(root), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def test_no_process_loads_another_ones_module(tmp_path):
    running = [start(tmp_path, str(number)) for number in range(PROCESSES)]
    for number, process in enumerate(running):
        said, _ = process.communicate(timeout=500)
        assert process.returncode == 0
        assert json.loads(said) == {"1000": 1000.0, "2000": 2000.0, str(number): float(number)}
    assert len([*(tmp_path / "builds").glob("*/*/candidate.so")]) == PROCESSES + 2
    assert [*(tmp_path / "scratch").iterdir()] == []


@pytest.mark.parametrize("seconds", [0.3, 1.2, 2.5])
def test_a_build_that_is_killed_leaves_the_cache_sound(tmp_path, seconds):
    number = int(seconds * 10)
    process = start(tmp_path, str(number))
    # The clock starts when the build does, not when Python does.
    deadline = time.monotonic() + 60
    while not [*tmp_path.glob("scratch/*")]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    settings = SandboxSettings(cache_dir=tmp_path)
    built = build(identity_candidate(1000), "sm_90", settings)
    assert identity_of(built, settings) == 1000.0
    assert identity_of(build(identity_candidate(number), "sm_90", settings), settings) == number
    # Compilers die with the process that held them.
    wait_for = time.monotonic() + 20
    while compilers(tmp_path) and time.monotonic() < wait_for:
        time.sleep(0.1)
    assert compilers(tmp_path) == []
    sweep(tmp_path / "scratch", settled_seconds=0.0)
    assert [*(tmp_path / "scratch").iterdir()] == []
    for entry in (tmp_path / "builds").glob("*/*"):
        assert (entry / "manifest.json").is_file()


def compilers(root: Path) -> list[str]:
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = place.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(root) in text and str(os.getpid()) != place.parent.name:
            found.append(text)
    return found


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]))
