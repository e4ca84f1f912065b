from __future__ import annotations

import json

import pytest

from cli.main import run

SOURCE = """
#include <torch/extension.h>
__global__ void k(const float* x, float* y, int n) { int i = threadIdx.x; if (i < n) y[i] = x[i] > 0.f ? x[i] : 0.f; }
torch::Tensor forward(torch::Tensor x) {
  auto y = torch::empty_like(x);
  k<<<1, 64>>>(x.data_ptr<float>(), y.data_ptr<float>(), x.numel());
  return y;
}
"""


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_CACHE_DIR", str(tmp_path / "cache"))
    # Long enough for nothing: whoever asks for the full headers hears of it, at once.
    monkeypatch.setenv("KERNELWRIGHT_FULL_COMPILE_SECONDS", "0.05")
    path = tmp_path / "kernel.cu"
    path.write_text(SOURCE)
    return path


def test_a_build_is_shown_with_its_resources_and_occupancy(source, capsys):
    assert run(["build", str(source), "--threads", "64", "--threads", "512", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"]
    assert report["build"]["headers"] == "light"
    (kernel,) = report["build"]["kernels"]
    assert (kernel["arch"], kernel["spill_stores"]) == ("sm_90", 0)
    assert [(item["threads"], item["card"], item["fraction"]) for item in report["occupancy"]] == [
        (64, "h100", 1.0),
        (512, "h100", 1.0),
    ]
    assert run(["build", str(source)]) == 0
    shown = capsys.readouterr().out
    assert "light headers" in shown
    assert "100% at 1024 (warps)" in " ".join(shown.split())


def test_headers_are_chosen_by_the_flag_over_the_setting(source, monkeypatch, capsys):
    monkeypatch.setenv("KERNELWRIGHT_HEADERS", "light")
    assert run(["build", str(source), "--headers", "full", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["kind"] == "timeout"
    assert run(["bench", "relu", str(source), "--headers", "full", "--device", "sim:h100"]) == 1
    assert "within 0.05 s" in capsys.readouterr().err
    assert run(["verify", "relu", str(source), "--headers", "full", "--device", "sim:h100", "--json"]) == 1
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["status"], "within 0.05 s" in verdict["checks"][-1]["detail"]) == ("compile_error", True)


def test_a_source_that_does_not_build_says_why(source, capsys):
    source.write_text(SOURCE.replace("x[i] > 0.f", "z[i] > 0.f"))
    assert run(["build", str(source)]) == 1
    shown = capsys.readouterr().out
    assert "undeclared" in shown
    assert "kernel.cu(3)" in shown
