from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sandbox.build import build
from sandbox.candidate import open_candidate
from sandbox.devices import find_gpus, parse_device
from sandbox.evidence import HostOpKind
from sandbox.values import Candidate, ExitState, Language, SourceFile, Tensor
from tasks.values import CallItem, Construction, DType

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not find_gpus(), reason="there is no GPU")]


def test_an_extension_computes_and_is_timed_on_a_gpu(settings, sources):
    device = parse_device("cuda:0")
    text = (sources / "softmax.cu").read_text()
    candidate = Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=text),))
    x = np.random.default_rng(0).standard_normal((64, 1000)).astype("f4")
    argument = Tensor(dtype=DType.FLOAT32, shape=x.shape, data=x.tobytes())
    with open_candidate(build(candidate, device.arch, settings), device, settings=settings) as session:
        execution = session.call([argument])
        timed = session.bench([[argument]], repeats=10)
    assert execution.state is ExitState.OK, execution.message
    e = np.exp(x.astype("f8") - x.max(1, keepdims=True))
    found = np.frombuffer(execution.outputs[0].data, "f4").reshape(x.shape)
    np.testing.assert_allclose(found, e / e.sum(1, keepdims=True), rtol=1e-5)
    assert len(timed.samples_us) == 10
    assert min(timed.samples_us) > 0


TRITON = """import torch
import triton
import triton.language as tl


@triton.jit
def double_kernel(x, out, n, BLOCK: tl.constexpr):
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + index, 2 * tl.load(x + index, mask=index < n), mask=index < n)


def forward(x):
    out = torch.empty_like(x)
    double_kernel[(triton.cdiv(x.numel(), 256),)](x, out, x.numel(), BLOCK=256)
    return out
"""


def test_a_triton_candidate_computes_on_a_gpu_and_pytorchs_work_is_recorded(settings):
    device = parse_device("cuda:0")
    x = np.random.default_rng(0).standard_normal((37, 11)).astype("f4")
    argument = Tensor(dtype=DType.FLOAT32, shape=x.shape, data=x.tobytes())
    for text, kinds in ((TRITON, set()), (TRITON.replace("return out", "return out * 1"), {HostOpKind.COMPUTE})):
        candidate = Candidate(language=Language.TRITON, files=(SourceFile(name="kernel.py", text=text),))
        with open_candidate(build(candidate, device.arch, settings), device, settings=settings) as session:
            execution = session.call([argument])
            timed = session.bench([[argument]], repeats=5)
        assert execution.state is ExitState.OK, execution.message
        np.testing.assert_array_equal(np.frombuffer(execution.outputs[0].data, "f4").reshape(x.shape), 2 * x)
        assert {op.kind for op in execution.host_ops} == kinds
        assert min(timed.samples_us) > 0


def test_a_modelnew_candidate_computes_on_a_gpu(settings):
    device = parse_device("cuda:0")
    text = (Path(__file__).parent / "python" / "inline.py").read_text(encoding="utf-8")
    candidate = Candidate(language=Language.MODELNEW, files=(SourceFile(name="kernel.py", text=text),))
    x, w, b = (np.random.default_rng(0).standard_normal(shape).astype("f4") for shape in ((5, 37), 37, 37))
    arguments = [Tensor(dtype=DType.FLOAT32, shape=one.shape, data=one.tobytes()) for one in (x, w, b)]
    made = Construction(
        positional=(37,),
        named={"offset": 0.5},
        call=(CallItem(tensor="x"), CallItem(fixed=True)),
        inputs=("x",),
        state=("weight", "shift"),
    )
    with open_candidate(build(candidate, device.arch, settings), device, settings=settings) as session:
        execution = session.call(arguments, construction=made)
    assert execution.state is ExitState.OK, execution.message
    found = np.frombuffer(execution.outputs[0].data, "f4").reshape(x.shape)
    np.testing.assert_allclose(found, 2 * x * w + b + 1, rtol=1e-5, atol=1e-5)
