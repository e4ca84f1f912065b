from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sandbox.build import build
from sandbox.candidate import open_candidate
from sandbox.devices import find_gpus, parse_device
from sandbox.evidence import HostOpKind
from sandbox.quarantine import Quarantine
from sandbox.reference import open_eager
from sandbox.values import Candidate, ExitState, Language, SourceFile, Tensor
from tasks.loading import library_task
from tasks.values import CallItem, Construction, DType, Purpose

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


def test_what_a_call_launches_is_seen_under_the_builds_names(settings, sources):
    device = parse_device("cuda:0")
    text = (sources / "softmax.cu").read_text()
    candidate = Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=text),))
    built = build(candidate, device.arch, settings)
    argument = Tensor(dtype=DType.FLOAT32, shape=(64, 1000), data=bytes(4 * 64000))
    with open_candidate(built, device, settings=settings) as session:
        execution = session.call([argument])
    assert execution.watched
    assert execution.host_ops == ()
    (launch,) = execution.launches
    assert launch.kernel in {kernel.kernel for kernel in built.kernels}
    assert min(launch.block) > 0


def test_a_launch_that_the_card_refuses_is_no_result(settings, sources):
    device = parse_device("cuda:0")
    text = (sources.parent.parent / "exploits" / "kernels" / "failed_launch.cu").read_text()
    candidate = Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=text),))
    argument = Tensor(dtype=DType.FLOAT32, shape=(64,), data=bytes(256))
    with open_candidate(build(candidate, device.arch, settings), device, settings=settings) as session:
        execution = session.call([argument])
    assert execution.state is ExitState.LAUNCH_ERROR
    assert "refused" in execution.message


SPEC = """
inputs = ["x"]
[[outputs]]
name = "y"
dtype = "float32"
shape = [1]
[[launches]]
kernel = "k"
grid = [1]
block = [1]
args = ["y", "x"]
"""
TRAP = 'extern "C" __global__ void k(float* y, const float* x) { if (x[0] == 2.f) __trap(); y[0] = x[0]; }'


def test_a_candidate_that_ends_a_gpus_context_gets_a_new_process_and_then_none(settings, tmp_path):
    device = parse_device("cuda:0")
    files = (SourceFile(name="kernel.cu", text=TRAP), SourceFile(name="launch.toml", text=SPEC))
    built = build(Candidate(language=Language.RAW, files=files), device.arch, settings)
    fine, fatal = (
        [Tensor(dtype=DType.FLOAT32, shape=(1,), data=np.float32(number).tobytes())] for number in (1.0, 2.0)
    )
    quarantine = Quarantine(tmp_path, built.candidate_hash, device)
    with open_candidate(built, device, settings=settings, quarantine=quarantine) as session:
        assert session.call(fine).state is ExitState.OK
        assert session.call(fatal).context_lost
        assert session.call(fine).state is ExitState.OK
        assert session.call(fatal).context_lost
        assert "quarantined" in session.call(fine).message


def test_work_that_is_left_on_another_stream_does_not_escape_the_clock():
    import torch  # noqa: PLC0415 -- of the tests here only this one runs in this process

    from sandbox.child.gpu_clock import GpuClock  # noqa: PLC0415 -- likewise

    factor = torch.randn(4096, 4096, device="cuda")
    side = torch.cuda.Stream()

    def left() -> None:
        with torch.cuda.stream(side):
            torch.mm(factor, factor)

    clock = GpuClock()
    plain = clock.samples(lambda: torch.mm(factor, factor), 10)
    hidden = clock.samples(left, 10)
    assert min(hidden) > 0.8 * min(plain)
    assert min(clock.samples(lambda: None, 10)) < 0.1 * min(plain)


def test_a_result_that_nobody_waits_for_is_not_there_however_short_the_work(settings, sources):
    device = parse_device("cuda:0")
    text = (sources.parent.parent / "exploits" / "kernels" / "unjoined_stream.cu").read_text()
    candidate = Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=text),))
    argument = Tensor(dtype=DType.FLOAT32, shape=(64,), data=np.ones(64, "f4").tobytes())
    with open_candidate(build(candidate, device.arch, settings), device, settings=settings) as session:
        calls = [session.call([argument]) for _ in range(5)]
    # The first call loads the kernel, which may wait for the device.
    assert [(one.state, "relu_kernel" in one.message) for one in calls[1:]] == [(ExitState.UNFINISHED, True)] * 4


HALF = """#include <torch/extension.h>
__global__ void first_half(float* y, const float* x, int n) { if (threadIdx.x < n / 2) y[threadIdx.x] = x[threadIdx.x]; }
torch::Tensor forward(torch::Tensor x) {
  auto y = torch::empty_like(x);
  first_half<<<1, 64>>>(y.data_ptr<float>(), x.data_ptr<float>(), x.numel());
  return y;
}
"""


def test_what_a_kernel_leaves_unwritten_is_no_number(settings):
    device = parse_device("cuda:0")
    candidate = Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=HALF),))
    argument = Tensor(dtype=DType.FLOAT32, shape=(64,), data=np.ones(64, "f4").tobytes())
    with open_candidate(build(candidate, device.arch, settings), device, settings=settings) as session:
        for _ in range(3):
            found = np.frombuffer(session.call([argument]).outputs[0].data, "f4")
            assert np.all(found[:32] == 1)
            assert np.all(np.isnan(found[32:]))


def test_eager_pytorch_is_timed_forward_and_backward(settings):
    forward, backward = library_task("softmax"), library_task("softmax_backward")
    device = parse_device("cuda:0")
    for task in (forward, backward):
        workload = task.workloads_for(Purpose.VERIFY)[0]
        random = np.random.default_rng(0)
        tensors = {
            spec.name: Tensor(
                dtype=spec.dtype, shape=spec.shape, data=random.standard_normal(spec.shape).astype("f4").tobytes()
            )
            for spec in workload.inputs
        }
        gradients = tuple(tensors.values())[:1] if task is backward else ()
        with open_eager(task, device, settings=settings) as session:
            samples = session.time(workload, tensors, 20, gradients)
        assert len(samples) == 20
        assert 0 < min(samples) < 1e4


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
    own = {kernel.kernel for kernel in execution.kernels}
    assert own
    assert own.intersection(launch.kernel for launch in execution.launches)
