"""`benchmarks/simgpu.py` at tiny sizes: everything it times computes what the native code does, or it says so."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "simgpu.py"


@pytest.fixture(scope="module")
def inputs():
    spec = importlib.util.spec_from_file_location("benchmark_inputs", BENCHMARK.parent / "workloads" / "inputs.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_it_runs_and_reports_all_of_its_figures():
    done = subprocess.run([sys.executable, BENCHMARK, "--tiny", "--json"], capture_output=True, text=True, check=True)
    results = json.loads(done.stdout)
    assert [row["kernel"] for row in results["rows"]] == ["vadd", "softmax", "sgemm", "reduce", "transpose"]
    for row in results["rows"]:
        assert min(row[name] for name in ("unchecked", "checked", "triton", "triton_checked", "interpreter")) > 0
    assert len(results["asides"]) == 2
    assert 1900 < results["compile"]["instructions"] < 2100
    assert results["compile"]["cached"] < results["compile"]["checked"]


def test_another_result_than_the_native_one_is_not_timed(inputs):
    native = np.arange(1, 9, dtype=np.float32)
    inputs.check("sgemm", native * np.float32(1 + 1e-6), native, "CUDA")
    wrong = native.copy()
    wrong[5] = np.nan
    with pytest.raises(inputs.WrongResultError, match=r"sgemm by Triton: \[5\] is nan"):
        inputs.check("sgemm", wrong, native, "Triton")
    with pytest.raises(inputs.WrongResultError, match=r"vadd by CUDA: \[3\] is 4.5, native code has 4.0"):
        inputs.check("vadd", native + np.float32(0.5) * (native == 4), native, "CUDA")
