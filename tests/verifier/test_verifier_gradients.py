"""Backward tasks: the gradient of every input and parameter that the task lists is judged, each by itself."""

import numpy as np
import pytest

from tasks.values import Direction, DType, InputSpec, Role
from verifier.fake import InMemoryLaboratory
from verifier.values import Status


def specs(rows, cols):
    return (
        InputSpec(name="x", shape=(rows, cols), dtype=DType.FLOAT32),
        InputSpec(name="weight", shape=(cols,), dtype=DType.FLOAT32, role=Role.PARAMETER),
        InputSpec(name="bias", shape=(cols,), dtype=DType.FLOAT32, role=Role.PARAMETER),
    )


def forward(arrays):
    return (arrays["x"] * arrays["weight"] + arrays["bias"],)


def gradients(grad, x, weight):
    return grad * weight, (grad * x).sum(0), grad.sum(0)


def backward(arrays, upstream):
    return gradients(upstream[0], arrays["x"], arrays["weight"])


@pytest.fixture
def task(make_task):
    return make_task(
        specs, direction=Direction.BACKWARD, saved=("x", "weight"), gradients=("x", "weight", "bias"), sizes=((8, 128),)
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("x", "weight", "bias"), "of x, weight, bias: every input and parameter"),
        (("x", "bias"), "of x, bias: the task leaves out weight"),
    ],
)
def test_a_verdict_says_which_gradients_the_task_leaves_out(task, judge, asked, said):
    chosen = [("x", "weight", "bias").index(name) for name in asked]

    def some(found):
        return tuple(found[number] for number in chosen)

    laboratory = InMemoryLaboratory(
        forward,
        lambda call: some(gradients(*call.arguments)),
        backward=lambda arrays, upstream: some(backward(arrays, upstream)),
    )
    verdict = judge(task.model_copy(update={"gradients": asked}), laboratory)
    assert verdict.passed
    assert [check.detail for check in verdict.checks if check.name == "gradients"] == [said]


def test_right_gradients_of_input_and_parameters_pass(task, judge):
    laboratory = InMemoryLaboratory(forward, lambda call: gradients(*call.arguments), backward=backward)
    verdict = judge(task, laboratory)
    assert verdict.passed
    assert all(len(check.outputs) == 3 for check in verdict.checks if check.name.startswith("values"))


@pytest.mark.parametrize("wrong", [0, 1, 2])
@pytest.mark.parametrize("fault", [lambda g: g * np.float32(1.001), lambda g: -g, np.zeros_like])
def test_one_wrong_gradient_fails_and_is_named(task, judge, wrong, fault):
    def kernel(call):
        results = list(gradients(*call.arguments))
        results[wrong] = fault(results[wrong])
        return tuple(results)

    verdict = judge(task, InMemoryLaboratory(forward, kernel, backward=backward))
    assert verdict.status is Status.WRONG_VALUES
    assert f"output {wrong}:" in verdict.checks[-1].detail


def test_a_parameters_gradient_left_out_is_the_wrong_form(task, judge):
    laboratory = InMemoryLaboratory(forward, lambda call: gradients(*call.arguments)[:2], backward=backward)
    assert judge(task, laboratory).status is Status.WRONG_SHAPE
