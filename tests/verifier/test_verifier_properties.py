"""Properties in the place of numbers: every right answer passes, a wrong one is named, and no control slips through."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.errors import UserError
from tasks.values import DType, InputSpec, OutputProperty, PropertyKind
from verifier.fake import InMemoryLaboratory
from verifier.properties import Lawful, fault
from verifier.tensors import from_array
from verifier.values import Status

KEYS = np.array([[2.0, 1.0, 2.0, 0.0]], np.float32)
ORDER = np.array([[3, 1, 0, 2]])
Q = np.array([[0.6, -0.8], [0.8, 0.6]])
R = np.array([[2.0, 1.0], [0.0, 3.0]])


def lacking(stated: dict[str, object], output: np.ndarray, oracle: np.ndarray, *others: np.ndarray, **inputs) -> str:
    dtype = DType(np.asarray(output).dtype.name)
    tensors = {name: from_array(value, DType(value.dtype.name)) for name, value in inputs.items()}
    made = tuple(from_array(value, DType(value.dtype.name)) for value in (output, *others))
    stated = OutputProperty.model_validate({"reason": "r", **stated})
    expected = Lawful(dtype, (stated,), from_array(oracle, dtype), tensors)
    return fault(expected, made[0], made)


@pytest.mark.parametrize(
    ("stated", "right", "wrong", "inputs"),
    [
        ({"kind": "sorted"}, np.sort(KEYS), KEYS, {}),
        ({"kind": "descending"}, -np.sort(KEYS), KEYS, {}),
        ({"kind": "rearranges", "of": "x"}, np.sort(KEYS), KEYS + 1, {"x": KEYS}),
        ({"kind": "selects", "of": "x"}, ORDER[:, [0, 1, 3, 2]], ORDER[:, ::-1], {"x": KEYS}),
        ({"kind": "selects", "of": "x"}, ORDER[:, :2], np.array([[3, 3]]), {"x": KEYS}),
        ({"kind": "selects", "of": "x"}, ORDER, ORDER + 1, {"x": KEYS}),
        ({"kind": "sums_to_one", "tolerance": 1e-6}, np.full((2, 4), 0.25), np.full((2, 4), 0.26), {}),
        ({"kind": "sums_to_one", "tolerance": 1e-6}, np.full((2, 4), 0.25), np.array([[1.5, -0.5]]), {}),
        ({"kind": "orthogonal", "tolerance": 1e-6}, Q, Q * 1.01, {}),
        ({"kind": "upper_triangular"}, R, R.T, {}),
        ({"kind": "lower_triangular"}, R.T, R, {}),
        ({"kind": "up_to_sign", "tolerance": 1e-6}, Q * [-1.0, 1.0], Q[:, ::-1], {}),
        ({"kind": "sorted"}, np.sort(KEYS), KEYS * np.nan, {}),
    ],
)
def test_another_right_answer_has_the_property_and_a_wrong_one_is_named(stated, right, wrong, inputs):
    oracle = ORDER[:, : right.shape[1]] if stated["kind"] == "selects" else Q if right.shape == Q.shape else right
    assert lacking(stated, right, oracle, **inputs) == ""
    assert lacking(stated, wrong, oracle, **inputs) != ""


def test_numbers_whose_products_overflow_to_nan_have_no_property():
    huge = np.array([[1e200, 1e200], [1e200, -1e200]])
    assert "off" in lacking({"kind": "orthogonal", "tolerance": 1e-6}, huge, Q)
    stated = {"kind": "multiplies_to", "of": "a", "times": 1, "tolerance": 1e-6}
    assert "off from 'a'" in lacking(stated, huge, Q, huge, a=Q @ R)


def test_factors_must_multiply_to_the_input():
    stated = {"kind": "multiplies_to", "of": "a", "times": 1, "tolerance": 1e-6}
    assert lacking(stated, Q, Q, R, a=Q @ R) == ""
    assert lacking(stated, -Q, Q, -R, a=Q @ R) == ""
    assert "off from 'a'" in lacking(stated, -Q, Q, R, a=Q @ R)


ARGSORT = OutputProperty(kind=PropertyKind.SELECTS, of="x", reason="equal keys in any order")


def argsort_task(make_task):
    def specs(rows, cols):
        return (InputSpec(name="x", shape=(rows, cols), dtype=DType.FLOAT32),)

    return make_task(specs, sizes=((8, 65), (5, 33), (1, 31))).model_copy(update={"properties": (ARGSORT,)})


def reference(arrays):
    return (np.argsort(arrays["x"], axis=-1, kind="stable"),)


def test_an_unstable_sort_passes_where_its_order_of_ties_is_right_too(make_task, judge):
    def backwards(call):
        x = call.arguments[0]
        last = x.shape[-1] - 1
        return (last - np.argsort(x[:, ::-1], axis=-1, kind="stable"),)

    verdict = judge(argsort_task(make_task), InMemoryLaboratory(reference, backwards))
    assert verdict.passed, verdict.checks[-1]
    strict = argsort_task(make_task).model_copy(update={"properties": ()})
    assert judge(strict, InMemoryLaboratory(reference, backwards)).status is Status.WRONG_VALUES


def test_a_wrong_order_fails_by_the_name_of_its_property(make_task, judge):
    def unsorted(call):
        rows, cols = call.arguments[0].shape
        return (np.broadcast_to(np.arange(cols), (rows, cols)).copy(),)

    verdict = judge(argsort_task(make_task), InMemoryLaboratory(reference, unsorted))
    assert verdict.status is Status.WRONG_VALUES
    assert "selects: picks another value of 'x'" in verdict.checks[-1].detail


def test_a_property_that_the_mean_has_too_makes_no_task(make_task, judge):
    def softmax(arrays):
        e = np.exp(arrays["x"] - arrays["x"].max(-1, keepdims=True))
        return (e / e.sum(-1, keepdims=True),)

    weak = OutputProperty(kind=PropertyKind.SUMS_TO_ONE, tolerance=1e-3, reason="r")
    task = make_task().model_copy(update={"properties": (weak,)})
    with pytest.raises(UserError, match="mean everywhere"):
        judge(task, InMemoryLaboratory(softmax, lambda call: softmax({"x": call.arguments[0]})))


def test_a_property_of_an_output_that_is_not_there_is_the_tasks_fault(make_task, judge):
    task = make_task().model_copy(update={"properties": (ARGSORT.model_copy(update={"output": 1}),)})
    with pytest.raises(UserError, match="states a property of an output"):
        judge(task, InMemoryLaboratory(reference, lambda call: reference({"x": call.arguments[0]})))
