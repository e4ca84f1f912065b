from __future__ import annotations

import numpy as np
import pytest

from sandbox.reference import SandboxProber, open_reference
from sandbox.settings import SandboxSettings
from sandbox.values import Tensor
from tasks.errors import UserError
from tasks.values import Direction, DType, InputSpec, Precision, ReferenceForm, Task, Workload

SOFTMAX = """
import torch, torch.nn as nn
rows = 4
cols = 8
class Model(nn.Module):
    def forward(self, x):
        return torch.softmax(x, dim=1)
def get_inputs():
    return [torch.randn(rows, cols)]
def get_init_inputs():
    return []
"""


def task(direction: Direction = Direction.FORWARD, source: str = SOFTMAX) -> Task:
    workload = Workload(
        name="w", axes={"rows": 3, "cols": 5}, inputs=(InputSpec(name="x", shape=(3, 5), dtype=DType.FLOAT32),)
    )
    backward = direction is Direction.BACKWARD
    return Task(
        slug="softmax",
        title="softmax",
        source=source,
        form=ReferenceForm.MODULE,
        entry="Model",
        direction=direction,
        workloads=(workload,),
        saved=("output",) if backward else (),
        gradients=("x",) if backward else (),
    )


def tensor(values: np.ndarray) -> Tensor:
    return Tensor(dtype=DType(values.dtype.name), shape=values.shape, data=values.tobytes())


def array(value: Tensor) -> np.ndarray:
    return np.frombuffer(value.data, dtype=value.dtype.value).reshape(value.shape)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x.astype("f8") - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


X = np.random.default_rng(0).standard_normal((3, 5)).astype("f4")


def test_forward_in_each_precision_and_the_operators(settings):
    one = task()
    with open_reference(one, settings=settings) as session:
        results = {p: session.run(one.workloads[0], {"x": tensor(X)}, p).outputs[0] for p in Precision}
        ops = session.eager_ops(one.workloads[0])
    assert results[Precision.ORACLE].dtype is DType.FLOAT64
    np.testing.assert_allclose(array(results[Precision.ORACLE]), softmax(X), rtol=1e-12)
    assert results[Precision.NATIVE].dtype is DType.FLOAT32
    np.testing.assert_allclose(array(results[Precision.NATIVE]), softmax(X), rtol=1e-5)
    assert not np.allclose(array(results[Precision.LOWER]), softmax(X), rtol=1e-5, atol=0)
    assert [op.name for op in ops] == ["aten::_softmax"]
    assert ops[0].bytes_read == ops[0].bytes_written == X.nbytes


def test_backward_first_tells_the_gradients_shapes_then_computes(settings):
    one = task(Direction.BACKWARD)
    with open_reference(one, settings=settings) as session:
        shapes = session.run(one.workloads[0], {"x": tensor(X)}, Precision.ORACLE)
        gradient = np.ones((3, 5), "f4") * np.arange(5, dtype="f4")
        result = session.run(one.workloads[0], {"x": tensor(X)}, Precision.ORACLE, [tensor(gradient)])
    assert shapes.outputs == ()
    assert shapes.output_gradients == ((DType.FLOAT32, (3, 5)),)
    y = softmax(X)
    np.testing.assert_allclose(
        array(result.outputs[0]), y * (gradient - (y * gradient).sum(1, keepdims=True)), atol=1e-12
    )
    assert result.saved[0].dtype is DType.FLOAT32
    np.testing.assert_allclose(array(result.saved[0]), y, rtol=1e-5)


def test_a_reference_that_fails_says_why_and_the_session_goes_on(settings):
    one = task(
        source=SOFTMAX.replace(
            "return torch.softmax(x, dim=1)",
            "import os; os.environ.get('X'); return torch.softmax(x, dim=int(x[0, 0]))",
        )
    )
    with open_reference(one, settings=settings) as session:
        with pytest.raises(UserError, match="Dimension out of range"):
            session.run(one.workloads[0], {"x": tensor(X + 50)}, Precision.NATIVE)
        good = session.run(one.workloads[0], {"x": tensor(np.ones((3, 5), "f4"))}, Precision.NATIVE)
    np.testing.assert_allclose(array(good.outputs[0]), 0.2, rtol=1e-6)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("import os; os._exit(0)", "exited with code 0"),
        ("raise ValueError('the moon is full')", "the moon is full"),
    ],
)
def test_a_source_that_misbehaves_is_the_users_fault(settings, statement, said):
    with pytest.raises(UserError, match=said):
        SandboxProber(settings).probe(statement)


def test_a_source_that_never_ends_is_stopped(settings):
    short = SandboxSettings(cache_dir=settings.cache_dir, call_seconds=4)
    endless = task(
        source=SOFTMAX.replace("    def forward(self, x):\n", "    def forward(self, x):\n        while True: pass\n")
    )
    with (
        open_reference(endless, settings=short) as session,
        pytest.raises(UserError, match="did not end within 4 s"),
    ):
        session.run(endless.workloads[0], {"x": tensor(X)}, Precision.NATIVE)


def test_a_source_may_ask_who_runs_it(settings):
    source = SOFTMAX.replace("return torch.softmax", "import getpass; getpass.getuser(); return torch.softmax")
    x = Tensor(dtype=DType.FLOAT32, shape=(3, 5), data=np.zeros((3, 5), "f4").tobytes())
    with open_reference(task(source=source), settings=settings) as session:
        session.run(task().workloads[0], {"x": x}, Precision.NATIVE)


def test_a_source_is_probed(settings):
    probed = SandboxProber(settings).probe(SOFTMAX)
    assert probed.form is ReferenceForm.MODULE
    assert {axis.name: axis.default for axis in probed.axes} == {"rows": 4, "cols": 8}
