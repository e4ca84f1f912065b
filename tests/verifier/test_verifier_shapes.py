"""Generated sizes: legal, bounded, new with each seed, and never guessed where the axes don't say."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import UserError
from tasks.loading import library, library_task
from tasks.values import Axis, DType, InputSpec, Purpose
from verifier.fake import InMemoryLaboratory
from verifier.shapes import ShapeKind, empty_workload, generated_workloads
from verifier.values import Status

AXES = (Axis(name="rows", default=8), Axis(name="cols", default=128))


def with_axes(task, axes=AXES):
    return task.model_copy(update={"axes": axes})


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**63 - 1), st.sampled_from([task.slug for task in library()]))
def test_library_tasks_get_legal_sizes_that_cost_no_more_than_their_own(seed, slug):
    task = library_task(slug)
    known = task.workloads_for(Purpose.VERIFY)
    made = generated_workloads(task, seed)
    assert [one.name.split(":")[0] for one in made] == ["edges", "primes", "long"]
    for workload in made:
        assert math.prod(workload.axes.values()) <= max(math.prod(one.axes.values()) for one in known)
        for axis in task.axes:
            assert axis.low <= workload.axes[axis.name] <= 2 * max(one.axes[axis.name] for one in known)


def test_tensors_follow_the_axes_as_in_the_manifest():
    task = library_task("cross_entropy")
    for workload in generated_workloads(task, 3):
        rows, classes = workload.axes["rows"], workload.axes["classes"]
        assert [spec.shape for spec in workload.inputs] == [(rows, classes), (rows,)]
        assert workload.inputs[1].domain.high == classes


def test_the_seed_decides_the_sizes():
    task = library_task("matmul")
    assert generated_workloads(task, 1) == generated_workloads(task, 1)
    assert len({str(generated_workloads(task, seed)) for seed in range(20)}) > 15


def test_dimensions_may_be_multiples_shares_and_products(make_task):
    def specs(rows, cols):
        shapes = {"a": (rows, 3 * cols), "b": (rows * cols,), "c": (cols + 1, 5)}
        return tuple(InputSpec(name=name, shape=shape, dtype=DType.FLOAT32) for name, shape in shapes.items())

    for workload in generated_workloads(with_axes(make_task(specs)), 5):
        rows, cols = workload.axes["rows"], workload.axes["cols"]
        assert [spec.shape for spec in workload.inputs] == [(rows, 3 * cols), (rows * cols,), (cols + 1, 5)]


def test_sizes_that_follow_no_rule_are_not_guessed(make_task):
    def specs(rows, cols):
        return (InputSpec(name="x", shape=(rows, cols % 100 + 7), dtype=DType.FLOAT32),)

    assert generated_workloads(with_axes(make_task(specs)), 5) == ()
    assert generated_workloads(make_task(), 5) == ()


def test_an_axis_that_never_varies_is_part_of_the_op(make_task):
    task = with_axes(make_task(sizes=((8, 128), (5, 128))))
    assert {workload.axes["cols"] for seed in range(5) for workload in generated_workloads(task, seed)} == {128}


def test_empty_sizes_only_where_the_axis_allows_them(make_task):
    axes = (Axis(name="rows", default=8, low=0), AXES[1])
    made = generated_workloads(with_axes(make_task(), axes), 5)
    assert [one.axes["rows"] for one in made if one.name.startswith(ShapeKind.EMPTY)] == [0]


def test_an_empty_workload_stands_apart_where_no_axis_may_be_0(make_task):
    required = (Axis(name="rows", default=8, low=0), AXES[1])
    several = (Axis(name="rows", default=8, low=2), Axis(name="cols", default=8, low=3))
    assert 0 in empty_workload(with_axes(make_task()), 5).axes.values()
    assert empty_workload(with_axes(make_task(), required), 5) is None
    assert empty_workload(with_axes(make_task(), several), 5) is None


def double(arrays):
    return (arrays["x"] * 2,)


def test_a_kernel_that_knows_only_the_listed_sizes_fails(make_task, judge):
    def kernel(call):
        x = call.arguments[0]
        return (x * np.float32(2 if x.shape in {(8, 128), (5, 257), (1, 31)} else 1),)

    verdict = judge(with_axes(make_task()), InMemoryLaboratory(double, kernel))
    assert verdict.status is Status.WRONG_VALUES
    assert verdict.checks[-1].workload.startswith("edges")
    assert not verdict.checks[-1].public


def test_a_size_that_the_reference_refuses_is_left_out_with_its_reason(make_task, judge):
    def picky(arrays):
        if arrays["x"].shape not in {(8, 128), (5, 257), (1, 31)}:
            raise UserError("sizes must be those")
        return double(arrays)

    verdict = judge(with_axes(make_task()), InMemoryLaboratory(picky, lambda call: (call.arguments[0] * 2,)))
    assert verdict.passed
    assert any("sizes must be those" in check.detail for check in verdict.checks)


@pytest.mark.parametrize("seed", range(3))
def test_an_honest_kernel_passes_at_generated_sizes(make_task, judge, seed):
    verdict = judge(with_axes(make_task()), InMemoryLaboratory(double, lambda call: (call.arguments[0] * 2,)), seed)
    assert verdict.passed
    generated = {check.workload.split(":")[0] for check in verdict.checks if ":" in (check.workload or "")}
    assert generated == {"edges", "primes", "long", "empty"}
