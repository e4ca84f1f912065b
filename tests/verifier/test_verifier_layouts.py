"""Candidates on views: contiguous ones must be taken or refused, what becomes of the others is written down."""

from dataclasses import replace

import numpy as np
import pytest

from sandbox.layouts import Layout
from sandbox.values import Diagnostic, Execution, ExitState, Language
from tasks.values import Axis, DType, InputSpec, Role
from verifier.draws import Draw
from verifier.fake import FakeFaultError, InMemoryLaboratory
from verifier.inputs import Distribution
from verifier.layouts import RECORDED, judge_layout
from verifier.tensors import from_array
from verifier.values import Status


def doubled(arrays):
    return (arrays["x"] * 2,)


def laboratory(kernel):
    return InMemoryLaboratory(doubled, lambda call: (kernel(call.arguments[0]),))


def layouts_of(verdict):
    return {check.name: check for check in verdict.checks if check.name.startswith("layout")}


def linear(x):
    """Return the elements as a kernel finds them that counts from the first one and knows no strides."""
    return np.lib.stride_tricks.as_strided(x, (x.size,), (x.itemsize,)).reshape(x.shape)


def test_a_kernel_that_reads_strides_is_right_in_every_layout(make_task, judge):
    checks = layouts_of(judge(make_task(), laboratory(lambda x: x * 2)))
    assert set(checks) == {f"layout[{layout}]" for layout in Layout if layout is not Layout.DENSE}
    assert {check.detail for check in checks.values()} == {"right values"}


def test_a_kernel_that_takes_views_for_dense_passes_and_the_verdict_says_so(make_task, judge):
    verdict = judge(make_task(), laboratory(lambda x: linear(x) * 2))
    assert verdict.passed
    checks = layouts_of(verdict)
    assert checks["layout[offset by one element]"].detail == "right values"
    assert all("assumes contiguous" in checks[f"layout[{layout}]"].detail for layout in RECORDED)


def test_a_refusal_is_written_down(make_task, judge):
    def kernel(x):
        if not x.flags.c_contiguous:
            raise FakeFaultError(ExitState.LAUNCH_ERROR, "x must be contiguous")
        return x * 2

    verdict = judge(make_task(), laboratory(kernel))
    assert verdict.passed
    assert layouts_of(verdict)["layout[strided]"].detail == "refused: x must be contiguous"


@pytest.mark.parametrize(
    ("state", "status"), [(ExitState.MEMORY_ERROR, Status.MEMORY_ERROR), (ExitState.CRASHED, Status.CRASHED)]
)
def test_a_fault_on_a_contiguous_tensor_fails(make_task, judge, state, status):
    def kernel(call):
        if call.layouts == (Layout.OFFSET,):
            raise FakeFaultError(state, "misaligned")
        return (call.arguments[0] * 2,)

    verdict = judge(make_task(), InMemoryLaboratory(doubled, kernel))
    assert verdict.status is status
    assert verdict.checks[-1].name == "layout[offset by one element]"
    assert "offset by one element: misaligned" in verdict.checks[-1].detail


def test_wrong_values_on_an_offset_tensor_fail(make_task, judge):
    def kernel(call):
        return (np.roll(call.arguments[0] * 2, call.layouts.count(Layout.OFFSET)),)

    verdict = judge(make_task(), InMemoryLaboratory(doubled, kernel))
    assert verdict.status is Status.WRONG_VALUES
    assert verdict.checks[-1].name == "layout[offset by one element]"


def test_parameters_lie_dense_but_for_an_offset(make_task, judge):
    def specs(rows, cols):
        return (
            InputSpec(name="x", shape=(rows, cols), dtype=DType.FLOAT32),
            InputSpec(name="w", shape=(cols, rows), dtype=DType.FLOAT32, role=Role.PARAMETER),
        )

    seen = []

    def kernel(call):
        seen.append(call.arguments[1].flags.c_contiguous)
        return (call.arguments[0] @ call.arguments[1],)

    laboratory = InMemoryLaboratory(lambda arrays: (arrays["x"] @ arrays["w"],), kernel)
    assert judge(make_task(specs), laboratory).passed
    assert all(seen)


def test_a_launch_specification_gets_contiguous_tensors_only(make_task, judge, candidate):
    raw = candidate.model_copy(update={"language": Language.RAW})
    checks = layouts_of(judge(make_task(), laboratory(lambda x: linear(x) * 2), of=raw))
    assert set(checks) == {"layout[offset by one element]"}


def test_what_becomes_of_an_empty_tensor_is_written_down(make_task, judge):
    task = make_task()
    task = task.model_copy(update={"axes": (Axis(name="rows", default=8), Axis(name="cols", default=128))})

    def kernel(x):
        if not x.size:
            raise FakeFaultError(ExitState.CRASHED, "division by zero")
        return x * 2

    def detail_of(verdict):
        assert verdict.passed
        return next(check.detail for check in verdict.checks if check.name == "sizes[empty]")

    assert detail_of(judge(task, laboratory(lambda x: x * 2))) == "right values"
    assert "nothing is empty: crashed: division by zero" in detail_of(judge(task, laboratory(kernel)))


@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        (lambda x: np.maximum(x, 0) * 2, "right values"),
        (lambda x: np.fmax(x, 0) * 2, "assumes that its inputs are finite: wrong_values: "),
    ],
)
def test_what_becomes_of_nan_and_infinities_is_written_down(make_task, judge, kernel, said):
    reference = InMemoryLaboratory(
        lambda arrays: (np.maximum(arrays["x"], 0) * 2,), lambda call: (kernel(call.arguments[0]),)
    )
    verdict = judge(make_task(), reference)
    assert verdict.passed
    (found,) = (check for check in verdict.checks if check.name == "inputs[not finite]")
    assert found.detail.startswith(said)
    assert found.workload == "rows=8,cols=128"


def test_a_task_that_gives_only_nan_then_is_left_out(make_task, judge):
    def total(x):
        return (x.sum(keepdims=True),)

    verdict = judge(
        make_task(), InMemoryLaboratory(lambda arrays: total(arrays["x"]), lambda call: total(*call.arguments))
    )
    assert verdict.passed
    (left,) = (check for check in verdict.checks if check.name == "draw[not finite]")
    assert "no element of the result is finite" in left.detail


def test_a_trap_on_a_contiguous_tensor_is_no_refusal(make_task):
    x = from_array(np.zeros((2, 4)), DType.FLOAT32)
    workload = make_task().workloads[0]
    draw = Draw(workload, Distribution.NORMAL, (x,), (), (x,), (x,), Layout.OFFSET)
    trap = Diagnostic(kind="trap", kernel="k", message="it trapped")
    refused = Execution(state=ExitState.LAUNCH_ERROR, message="x must be aligned")
    assert judge_layout(draw, refused, None).detail == "refused: x must be aligned"
    trapped = replace(refused, diagnostics=(trap,))
    assert judge_layout(draw, trapped, None).status is Status.LAUNCH_ERROR
