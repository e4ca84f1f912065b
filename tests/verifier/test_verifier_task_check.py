"""Bad tasks are named by what is wrong with them, good ones pass; once in memory for each fault, once for real."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.errors import UserError
from tasks.loading import library_task
from tasks.trusted import TrustedOutliner
from tasks.values import (
    Axis,
    Direction,
    Domain,
    DomainKind,
    DType,
    EagerOp,
    InputSpec,
    Purpose,
    Task,
    Tolerance,
    Visibility,
)
from verifier.catalogue import catalogue_index, task_page
from verifier.cost import task_costs
from verifier.fake import InMemoryLaboratory
from verifier.task_check import TaskCheck, TaskReport, check_task
from verifier.task_pool import check_tasks

OPS = (EagerOp(name="aten::mul", shapes=((8, 128),), bytes_read=4096, bytes_written=4096, flops=1024),)
RNG = np.random.default_rng(1)


def specs(*names: str, kind: DomainKind = DomainKind.REAL):
    def at(rows: int, cols: int) -> tuple[InputSpec, ...]:
        return tuple(
            InputSpec(name=name, shape=(rows, cols), dtype=DType.FLOAT32, domain=Domain(kind=kind)) for name in names
        )

    return at


def report_on(task: Task, forward, backward=None) -> TaskReport:
    laboratory = InMemoryLaboratory(forward, lambda _: (), backward=backward, eager_ops=OPS)
    with laboratory.reference(task, None) as reference:
        return check_task(task, reference)


def failures(report: TaskReport) -> dict[TaskCheck, str]:
    assert report.passed == all(finding.passed for finding in report.findings)
    assert all(bool(finding.remedy) != finding.passed for finding in report.findings)
    return {finding.check: finding.detail for finding in report.findings if not finding.passed}


def double_sum(arrays):
    return (arrays["x"] * 2 + arrays["y"],)


def test_a_good_task_passes_every_check_and_has_a_cost(make_task):
    report = report_on(make_task(specs("x", "y")), double_sum)
    assert failures(report) == {}
    assert [finding.check for finding in report.findings] == list(TaskCheck)
    bench = report.costs[-1]
    assert (bench.bytes_read, bench.bytes_written, bench.flops) == (4096, 4096, 1024)
    assert {time.device for time in bench.times} >= {"h100", "l4"}
    assert all(0 < time.floor_us <= time.roofline_us for time in bench.times)


@pytest.mark.parametrize(
    ("forward", "check", "detail"),
    [
        (lambda a: (a["x"] * 2,), TaskCheck.INPUTS, "other values of 'y' leave the result"),
        (lambda a: (a["x"] + np.float32(1e-9) * a["y"],), TaskCheck.INPUTS, "'y'"),
        (lambda a: (a["x"] + a["y"] + RNG.random(a["x"].shape),), TaskCheck.DETERMINISTIC, "two runs"),
        (lambda a: (a["x"] * 0 + a["x"].mean() + a["y"].mean(),), TaskCheck.VARIED, "all elements of output 0"),
        (lambda a: ((a["x"] * 0 + a["y"] * 0).sum(keepdims=True),), TaskCheck.VARIED, "the same number on each"),
        (lambda a: (a["x"] * 0 + a["y"] * 0,), TaskCheck.CONTROLS, "'zeros'"),
        (lambda a: (np.sqrt(-1 - a["x"] ** 2 - a["y"] ** 2),), TaskCheck.VALUES, "no kind of input"),
    ],
)
def test_a_bad_reference_is_named_by_its_fault(make_task, forward, check, detail):
    found = failures(report_on(make_task(specs("x", "y")), forward))
    assert detail in found[check]


def test_a_reference_that_fails_ends_the_checks(make_task):
    def failing(arrays):
        if (arrays["x"] < -100).any():
            raise UserError("the reference fails when called: no such values")
        return double_sum(arrays)

    report = report_on(make_task(specs("x", "y")), failing)
    assert "no such values" in failures(report)[TaskCheck.VALUES]
    assert report.findings[-1].check is TaskCheck.VALUES
    positive = make_task(specs("x", "y", kind=DomainKind.PROBABILITY))
    assert TaskCheck.VALUES not in failures(report_on(positive, failing))


def test_a_loose_tolerance_lets_controls_through(make_task):
    task = make_task(specs("x", "y"), tolerance=Tolerance(atol=1e20, rtol=0.0))
    found = failures(report_on(task, double_sum))
    assert "'zeros'" in found[TaskCheck.CONTROLS]
    assert "'x', 'y'" in found[TaskCheck.INPUTS]


def test_tensors_other_than_the_references_are_named(make_task):
    class Renamed:
        """The same reference, which calls its second tensor otherwise."""

        def __init__(self, real, change) -> None:
            self._real, self._change = real, change

        def __getattr__(self, name):
            return getattr(self._real, name)

        def outline(self, workload):
            found = self._real.outline(workload)
            return found.model_copy(update={"tensors": self._change(found.tensors)})

    changes = {
        "the reference has no tensor 'y' (it has: x, z)": lambda t: (t[0], t[1].model_copy(update={"name": "z"})),
        "'y' is a input of float32, the reference makes it a input of float16": lambda t: (
            t[0],
            t[1].model_copy(update={"dtype": DType.FLOAT16}),
        ),
        "'x' is [8, 128] by the task and [8, 3] by": lambda t: (t[0].model_copy(update={"shape": (8, 3)}), t[1]),
        "the task lists x, y; the reference takes y, x": lambda t: t[::-1],
    }
    task = make_task(specs("x", "y"))
    for sentence, change in changes.items():
        with InMemoryLaboratory(double_sum, lambda _: (), eager_ops=OPS).reference(task, None) as real:
            assert sentence in failures(check_task(task, Renamed(real, change)))[TaskCheck.TENSORS]


def test_a_mask_with_only_one_value_and_a_causal_one_accuse_nobody(make_task):
    def at(rows, cols):
        square = (rows, cols, cols)
        return (
            InputSpec(name="x", shape=square, dtype=DType.FLOAT32),
            InputSpec(name="m", shape=square, dtype=DType.BOOL, domain=Domain(kind=DomainKind.CAUSAL)),
        )

    report = report_on(make_task(at, sizes=((2, 8), (2, 5), (1, 3))), lambda a: (a["x"] * a["m"],))
    assert TaskCheck.INPUTS not in failures(report)


def test_backward_tasks_are_checked_by_what_a_kernel_receives(make_task):
    def backward(arrays, gradients):
        return (gradients[0] * 2 * arrays["x"],)

    def square(arrays):
        return (arrays["x"] ** 2,)

    stated = {"direction": Direction.BACKWARD, "gradients": ("x",)}
    good = make_task(specs("x"), saved=("x",), **stated)
    assert failures(report_on(good, square, backward)) == {}
    idle = make_task(specs("x", "y"), saved=("x", "y"), **stated)
    assert "'y'" in failures(report_on(idle, square, backward))[TaskCheck.INPUTS]


def test_a_task_needs_hidden_and_bench_workloads_and_sizes_that_run(make_task):
    task = make_task(specs("x", "y"))
    public = tuple(w.model_copy(update={"visibility": Visibility.PUBLIC}) for w in task.workloads)
    assert "public" in failures(report_on(task.model_copy(update={"workloads": public}), double_sum))[TaskCheck.SIZES]
    untimed = tuple(w for w in task.workloads if w.purpose is not Purpose.BENCH)
    found = failures(report_on(task.model_copy(update={"workloads": untimed}), double_sum))
    assert "no bench workload" in found[TaskCheck.COST]


def test_generated_sizes_that_all_fail_want_a_constraint(make_task):
    known = {(8, 128), (5, 257), (1, 31)}

    def picky(arrays):
        if arrays["x"].shape not in known:
            raise UserError("sizes must be those")
        return double_sum(arrays)

    axes = (Axis(name="rows", default=8), Axis(name="cols", default=128))
    task = make_task(specs("x", "y")).model_copy(update={"axes": axes})
    assert TaskCheck.SIZES not in failures(report_on(task, picky))
    stated = library_task("residual_layernorm").tensors[:1]
    ruled = (*stated, stated[0].model_copy(update={"name": "y"}))
    found = failures(report_on(task.model_copy(update={"tensors": ruled}), picky))
    assert "refuses all generated sizes" in found[TaskCheck.SIZES]


@pytest.mark.slow
def test_a_random_reference_fails_in_the_sandbox_by_that_check_alone():
    good = library_task("softmax_backward")
    source = good.source.replace("torch.softmax(x, dim=-1)", "torch.dropout(torch.softmax(x, -1), 0.5, True)")
    small = tuple(w for w in good.workloads if w.purpose is Purpose.BENCH or w.axes["cols"] < 130)
    (report,) = check_tasks([good.model_copy(update={"source": source, "workloads": small})])
    assert failures(report).keys() == {TaskCheck.DETERMINISTIC}


def test_the_cost_of_a_backward_task_is_what_its_kernel_reads_and_returns():
    task = library_task("softmax_backward")
    cost = task_costs(task, TrustedOutliner(task))[-1]
    elements = 12288 * 1024
    assert (cost.bytes_read, cost.bytes_written) == (2 * 4 * elements, 4 * elements)
    stated = task.model_copy(update={"flops": "3 * rows * cols"})
    assert task_costs(stated, TrustedOutliner(stated))[-1].flops == 3 * elements


def test_a_page_says_what_the_task_says():
    task = library_task("cross_entropy").model_copy(update={"formula": "-log p", "why": "Fused | faster."})
    page = task_page(task, task_costs(task, TrustedOutliner(task)))
    bench = task.workloads_for(Purpose.BENCH)[0]
    for text in ("# cross_entropy", "-log p", "Fused | faster.", "in [0, ", bench.source, "h100", "Apache-2.0"):
        assert text in page
    assert task.source.rstrip() in page
    hidden = task.workloads_for(Purpose.VERIFY, Visibility.HIDDEN)[0]
    assert f"`{hidden.name}`" not in page
    assert f"[{task.slug}]({task.slug}.md)" in catalogue_index([task])
