"""The library loads without executing anything, and says about each op what executing it shows."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from tasks.loading import library
from tasks.reference import Reference, probe
from tasks.reference.domains import draw
from tasks.values import Direction, Domain, InputSpec, Precision, Purpose, Task, Visibility, Workload

TASKS = pytest.mark.parametrize("task", library(), ids=lambda task: task.slug)


def reference(task: Task, workload: Workload) -> Reference:
    return Reference(task.source, task.form, task.entry, workload.axes)


def tensors(workload: Workload) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {spec.name: draw(spec, generator) for spec in workload.inputs}


def bare(specs: tuple[InputSpec, ...]) -> tuple[InputSpec, ...]:
    return tuple(spec.model_copy(update={"domain": Domain()}) for spec in specs)


def test_loading_the_library_imports_no_torch():
    code = (
        "import sys; from tasks.loading import library; assert len(library()) >= 12; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@TASKS
def test_manifest_states_the_tensors_that_the_reference_has_at_every_workload(task):
    for workload in task.workloads:
        assert bare(workload.inputs) == bare(reference(task, workload).specs())


@TASKS
def test_manifest_states_the_axes_and_domains_that_a_probe_finds(task):
    probed = probe(task.source)
    assert (probed.form, probed.entry) == (task.form, task.entry)
    assert [axis.name for axis in probed.axes] == [axis.name for axis in task.axes]
    stated = next(w for w in task.workloads if w.axes == probed.default.axes)
    assert stated.inputs == probed.default.inputs


@TASKS
def test_forward_runs_in_native_and_oracle_precision_at_every_verify_workload(task):
    for workload in task.workloads_for(Purpose.VERIFY):
        given = tensors(workload)
        ran = reference(task, workload)
        native, oracle = (ran.forward(given, p) for p in (Precision.NATIVE, Precision.ORACLE))
        for ours, exact in zip(native, oracle, strict=True):
            assert exact.dtype is torch.float64
            assert torch.isfinite(exact).all()
            torch.testing.assert_close(ours.double(), exact, atol=2e-4, rtol=2e-4)


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
    assert all(spec.nbytes // spec.dtype.itemsize <= 1 << 17 for w in verify for spec in w.inputs)


@TASKS
def test_bench_workloads_name_their_source_and_include_the_sizes_of_the_reference(task):
    bench = task.workloads_for(Purpose.BENCH)
    assert all(w.source for w in bench)
    assert {axis.name: axis.default for axis in task.axes} in [w.axes for w in bench]
    assert all(spec.nbytes // spec.dtype.itemsize <= 1 << 25 for w in bench for spec in w.inputs)


@TASKS
def test_eager_ops_are_known_at_bench_sizes_without_running_them(task):
    for workload in task.workloads_for(Purpose.BENCH):
        shaped = {s.name: torch.empty(s.shape, dtype=getattr(torch, s.dtype), device="meta") for s in workload.inputs}
        ops = reference(task, workload).eager_ops(shaped, task.gradients)
        assert ops
        assert all(op.bytes_read > 0 and op.bytes_written > 0 for op in ops)


def test_backward_task_differentiates_softmax():
    task = next(task for task in library() if task.direction is Direction.BACKWARD)
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
    task = next(task for task in library() if task.slug == "rmsnorm")
    workload = task.workloads_for(Purpose.BENCH)[0]
    shaped = {s.name: torch.empty(s.shape, dtype=getattr(torch, s.dtype), device="meta") for s in workload.inputs}
    names = [op.name.removeprefix("aten::") for op in reference(task, workload).eager_ops(shaped)]
    assert names == ["pow", "mean", "add", "rsqrt", "mul", "mul"]
