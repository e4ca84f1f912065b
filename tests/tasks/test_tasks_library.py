"""The library loads without executing anything, and its sizes are those at which kernels go wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from tasks.loading import library, library_task
from tasks.reference import Reference
from tasks.reference.domains import draw
from tasks.values import Family, Precision, Purpose, Task, Visibility, Workload

TASKS = pytest.mark.parametrize("task", library(), ids=lambda task: task.slug)
_SMALL = 1 << 17
_LARGE = 1 << 25


def reference(task: Task, workload: Workload) -> Reference:
    return Reference(task.source, task.form, task.entry, workload.axes)


def tensors(workload: Workload) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {spec.name: draw(spec, generator) for spec in workload.inputs}


def test_loading_the_library_imports_no_torch():
    code = (
        "import sys; from tasks.loading import library; assert len(library()) >= 80; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@TASKS
def test_workloads_cover_what_kernels_get_wrong(task):
    verify = task.workloads_for(Purpose.VERIFY)
    assert len(task.workloads_for(Purpose.VERIFY, Visibility.PUBLIC)) >= 3
    assert len(task.workloads_for(Purpose.VERIFY, Visibility.HIDDEN)) >= 3
    assert {w.name for w in task.workloads_for(Purpose.VERIFY, Visibility.HIDDEN)}.isdisjoint(
        w.name for w in task.workloads_for(Purpose.VERIFY, Visibility.PUBLIC)
    )
    first = task.axes[0].name
    assert any(w.axes[first] == 1 for w in verify)
    assert all(spec.nbytes // spec.dtype.itemsize <= _SMALL for w in verify for spec in w.inputs)


@TASKS
def test_bench_workloads_name_their_source_and_include_the_sizes_of_the_reference(task):
    bench = task.workloads_for(Purpose.BENCH)
    assert all(w.source for w in bench)
    assert {axis.name: axis.default for axis in task.axes} in [w.axes for w in bench]
    assert all(spec.nbytes // spec.dtype.itemsize <= _LARGE for w in bench for spec in w.inputs)


def test_every_family_has_a_task_and_every_task_says_what_it_is_and_where_it_comes_from():
    assert {task.family for task in library()} == set(Family) - {Family.OTHER}
    assert all(task.formula and task.why and task.provenance.origin for task in library())
    assert len({task.title for task in library()}) == len(library())


def test_backward_task_differentiates_softmax():
    task = library_task("softmax_backward")
    for workload in task.workloads_for(Purpose.VERIFY):
        given = tensors(workload)
        upstream = torch.randn(given["x"].shape, generator=torch.Generator().manual_seed(1))
        ran = reference(task, workload)
        got = ran.backward(given, [upstream], task.saved, task.gradients, Precision.ORACLE)
        y = torch.softmax(given["x"].double(), -1)
        expected = y * (upstream - (y * upstream).sum(-1, keepdim=True))
        torch.testing.assert_close(got.gradients, (expected,))
        assert got.saved[0].dtype is torch.float32


def test_eager_ops_of_rmsnorm_are_those_of_its_forward_alone():
    task = library_task("rmsnorm")
    workload = task.workloads_for(Purpose.BENCH)[0]
    shaped = {s.name: torch.empty(s.shape, dtype=getattr(torch, s.dtype), device="meta") for s in workload.inputs}
    names = [op.name.removeprefix("aten::") for op in reference(task, workload).eager_ops(shaped)]
    assert names == ["pow", "mean", "add", "rsqrt", "mul", "mul"]
