"""Verdicts of Python candidates through the whole way: guard, build, run, judgement."""

from __future__ import annotations

import pytest

from cli.loading import read_task
from sandbox.devices import parse_device
from sandbox.values import Candidate, Language, SourceFile
from verifier.bench import bench
from verifier.sandboxed import SandboxLaboratory
from verifier.values import Status, Verdict
from verifier.verify import verify

pytest.importorskip("triton")

H100 = parse_device("sim:h100")
SOFTMAX = """
import torch
import triton
import triton.language as tl


@triton.jit
def softmax_kernel(out_ptr, x_ptr, n_cols, stride, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    cols = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * stride + cols, mask=cols < n_cols, other=-float("inf"))
    e = tl.exp(x - tl.max(x, axis=0))
    tl.store(out_ptr + row * n_cols + cols, e / tl.sum(e, axis=0), mask=cols < n_cols)


def forward(x):
    rows, cols = x.shape
    out = torch.empty_like(x)
    softmax_kernel[(rows,)](out, x, cols, x.stride(0), BLOCK=triton.next_power_of_2(cols))
    return out
"""
COPY = """
import numpy as np
import torch
import triton
import triton.language as tl


@triton.jit
def copy_kernel(out_ptr, x_ptr, n, BLOCK: tl.constexpr):
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + index, tl.load(x_ptr + index, mask=index < n), mask=index < n)


def copied(x):
    out = torch.empty(x.shape, device=x.device)
    copy_kernel[(triton.cdiv(x.numel(), 1024),)](out, x, x.numel(), BLOCK=1024)
    return out


def host(a):
    e = np.exp(a - a.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def forward(x):
    return copied(WORK)
"""
MODEL = """
import torch
from torch import nn
from torch.utils.cpp_extension import load_inline

source = '''
#include <torch/extension.h>
__global__ void kernel(const float* x, const float* w, const float* b, float* out, int rows, int in, int width) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= rows * width) return;
    float sum = b[i % width];
    for (int j = 0; j < in; ++j) sum += x[i / width * in + j] * w[i % width * in + j];
    out[i] = 0.5f * sum * (1.f + erff(sum * 0.70710678f));
}
torch::Tensor fused(torch::Tensor x, torch::Tensor w, torch::Tensor b) {
    auto out = torch::empty({x.size(0), w.size(0)}, x.options());
    kernel<<<(out.numel() + 255) / 256, 256>>>(x.data_ptr<float>(), w.data_ptr<float>(), b.data_ptr<float>(),
                                               out.data_ptr<float>(), x.size(0), x.size(1), w.size(0));
    return out;
}
'''
fused = load_inline("fused", "torch::Tensor fused(torch::Tensor x, torch::Tensor w, torch::Tensor b);", source, ["fused"])


class ModelNew(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.linear = nn.Linear(width, hidden)

    def forward(self, x):
        return fused.fused(x, self.linear.weight, self.linear.bias)
"""


@pytest.fixture(scope="module")
def laboratory(settings):
    with SandboxLaboratory(settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def judged(laboratory):
    """Judges a source; references are shared."""

    def judge(task: str, text: str, language: Language = Language.TRITON) -> Verdict:
        candidate = Candidate(language=language, files=(SourceFile(name="kernel.py", text=text),))
        return verify(read_task(task), candidate, H100, seed=5, laboratory=laboratory)

    return judge


def why(verdict: Verdict) -> str:
    return verdict.checks[-1].detail


def test_a_right_triton_kernel_passes_and_is_timed(judged, laboratory):
    verdict = judged("softmax", SOFTMAX)
    assert verdict.status is Status.PASSED, why(verdict)
    assert any(check.name == "stores" and check.passed for check in verdict.checks)
    candidate = Candidate(language=Language.TRITON, files=(SourceFile(name="kernel.py", text=SOFTMAX),))
    measurement = bench(read_task("softmax"), candidate, H100, seed=5, laboratory=laboratory)
    assert all(timing.median_us > timing.floor_us for timing in measurement.timings)
    assert {launch.kernel for timing in measurement.timings for launch in timing.launches} == {"softmax_kernel"}


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        (SOFTMAX.replace("axis=0), mask=cols < n_cols)", "axis=0))"), Status.MEMORY_ERROR, "past the end"),
        (SOFTMAX.replace("tl.exp(", "tl.expp("), Status.COMPILE_ERROR, "kernel.py:12"),
        (SOFTMAX.replace("(out, x,", "(x, x,").replace("return out", "return x"), Status.MUTATED_INPUT, "argument 0"),
        (COPY.replace("WORK", "torch.softmax(x, -1)"), Status.FORBIDDEN, "left to PyTorch"),
        (COPY.replace("WORK", "x.softmax(-1)"), Status.CHEATING, "aten._softmax.default"),
        (COPY.replace("WORK", "getattr(torch, 'soft' + 'max')(x, -1)"), Status.CHEATING, "aten._softmax.default"),
        (
            COPY.replace("WORK", "torch.from_numpy(host(x.cpu().numpy())).cuda()"),
            Status.CHEATING,
            "brought a tensor to the host",
        ),
        (COPY.replace("return copied(WORK)", "return x.clone()"), Status.CHEATING, "no kernel"),
    ],
    ids=["bounds", "compile", "mutated", "named", "method", "hidden", "host", "none"],
)
def test_a_wrong_triton_candidate_gets_its_status(judged, text, status, said):
    verdict = judged("softmax", text)
    assert (verdict.status, said in why(verdict)) == (status, True), why(verdict)


def test_a_right_modelnew_passes(judged):
    verdict = judged("linear_bias_gelu", MODEL, Language.MODELNEW)
    assert verdict.status is Status.PASSED, why(verdict)


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        (
            MODEL.replace("fused.fused(x, self.linear.weight, self.linear.bias)", "nn.functional.gelu(self.linear(x))"),
            Status.FORBIDDEN,
            "left to PyTorch",
        ),
        (MODEL.replace("fused.fused(x,", "fused.fused(self.linear(x)[:, :1] * 0 + x,"), Status.CHEATING, "aten.addmm"),
        (
            MODEL.replace("nn.Linear(width, hidden)", "nn.Linear(width, hidden, bias=False)"),
            Status.LAUNCH_ERROR,
            "must have the model's parameters",
        ),
        (MODEL.replace("if (i >= rows * width) return;", ""), Status.MEMORY_ERROR, ""),
        (MODEL.replace("sum += x[", "sum += undeclared["), Status.COMPILE_ERROR, "undeclared"),
    ],
    ids=["torch", "torch-inside", "state", "bounds", "compile"],
)
def test_a_wrong_modelnew_gets_its_status(judged, text, status, said):
    verdict = judged("linear_bias_gelu", text, Language.MODELNEW)
    assert (verdict.status, said in why(verdict)) == (status, True), why(verdict)


def test_a_backward_task_is_no_task_for_modelnew(judged):
    verdict = judged("softmax_backward", MODEL, Language.MODELNEW)
    assert verdict.status is Status.UNSUPPORTED
    assert "ModelNew computes a forward" in why(verdict)
