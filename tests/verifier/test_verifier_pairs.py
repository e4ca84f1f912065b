"""A candidate that has a forward and a backward is judged on both together."""

import numpy as np
import pytest

from sandbox.values import Candidate, Language, SourceFile
from tasks.values import Direction
from verifier.fake import InMemoryLaboratory
from verifier.pairs import pair_of
from verifier.values import Status

BOTH = "__global__ void k() {}\nint forward(int x) { return x; }\nint backward(int g, int y) { return g * y; }\n"
ONE = "__global__ void k() {}\nint backward(int g, int y) { return g * y; } // int forward(int x)\n"


def of(text, entry="backward"):
    return Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=text),), entry=entry)


def sigmoid(x):
    return (1 / (1 + np.exp(-x))).astype(x.dtype)


def laboratory(forward_kernel, kernel=lambda call: (call.arguments[0] * call.arguments[1] * (1 - call.arguments[1]),)):
    def backward(arrays, gradients):
        y = sigmoid(arrays["x"])
        return (gradients[0] * y * (1 - y),)

    return InMemoryLaboratory(
        lambda arrays: (sigmoid(arrays["x"]),), kernel, backward=backward, forward_kernel=forward_kernel
    )


@pytest.fixture
def task(make_task):
    return make_task(direction=Direction.BACKWARD, saved=("output",), gradients=("x",))


def names(verdict):
    return [check.name for check in verdict.checks]


def test_a_pair_that_fits_passes_and_both_halves_are_in_the_verdict(task, judge):
    verdict = judge(task, laboratory(lambda call: (sigmoid(call.arguments[0]),)), of=of(BOTH))
    assert verdict.passed, verdict.checks[-1]
    assert {"forward", "forward and backward"} <= set(names(verdict))


def test_a_wrong_forward_fails_although_its_backward_is_right(task, judge):
    verdict = judge(task, laboratory(lambda call: (sigmoid(call.arguments[0]) * np.float32(1.01),)), of=of(BOTH))
    assert verdict.status is Status.WRONG_VALUES
    assert names(verdict)[-1] == "forward"


def test_a_backward_that_is_wrong_only_behind_its_own_forward_fails(task, judge):
    own = []

    def forward(call):
        own.append(np.nextafter(sigmoid(call.arguments[0]), np.float32(0)))
        return (own[-1],)

    def kernel(call):
        grad, y = call.arguments
        behind_own = any(np.array_equal(y, made) for made in own)
        return (grad * y * (1 - y) * np.float32(1.01 if behind_own else 1),)

    verdict = judge(task, laboratory(forward, kernel), of=of(BOTH))
    assert verdict.status is Status.WRONG_VALUES
    assert names(verdict)[-2:] == ["forward", "forward and backward"]


def test_without_a_forward_only_the_backward_is_judged(task, judge):
    verdict = judge(task, laboratory(None), of=of(ONE))
    assert verdict.passed
    assert "forward" not in names(verdict)


def test_a_pair_needs_a_result_that_the_backward_receives(task):
    assert pair_of(task, of(BOTH)).results == (0,)
    assert pair_of(task.model_copy(update={"saved": ("x", "output.1")}), of(BOTH)).results == (None, 1)
    assert pair_of(task.model_copy(update={"saved": ("x",)}), of(BOTH)) is None
    assert pair_of(task, of(ONE)) is None
    assert pair_of(task, of(BOTH, entry="forward")) is None


def test_python_sources_are_read_as_python(task):
    both = "def forward(x): ...\ndef backward(g, y): ...\n"
    file = SourceFile(name="kernel.py", text=both)
    candidate = Candidate(language=Language.TRITON, files=(file,), entry="backward")
    assert pair_of(task, candidate) is not None
    inner = SourceFile(name="kernel.py", text="def backward(g, y):\n    def forward(x): ...\n")
    assert pair_of(task, candidate.model_copy(update={"files": (inner,)})) is None
