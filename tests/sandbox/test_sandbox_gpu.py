from __future__ import annotations

import numpy as np
import pytest

from sandbox.build import build
from sandbox.candidate import open_candidate
from sandbox.devices import find_gpus, parse_device
from sandbox.values import Candidate, ExitState, Language, SourceFile, Tensor
from tasks.values import DType

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
