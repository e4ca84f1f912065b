"""Every manifest of the library says about its reference what executing it shows."""

from __future__ import annotations

import pytest
import torch

from tasks.loading import library
from tasks.reference import Reference, probe
from tasks.values import Direction, Domain, DomainKind, InputSpec, Precision, Purpose, Task, Workload
from verifier.inputs import Distribution, draw_tensor

TASKS = pytest.mark.parametrize("task", library(), ids=lambda task: task.slug)
PROBED = pytest.mark.parametrize(
    "task",
    [one for one in library() if all(spec.domain.kind is not DomainKind.OFFSETS for spec in one.workloads[0].inputs)],
    ids=lambda task: task.slug,
)
"""A probe tries values of its own, and none of those are offsets."""

NARROWER = {
    "bce_with_logits": {"target"},
    "centroid_scores": {"size"},
    "crossquant_dequantize": {"row_scale", "col_scale"},
    "fp8_group_dequantize": {"scale"},
    "fp8_matmul": {"row_scale", "col_scale"},
    "gumbel_softmax": {"uniform"},
    "int8_matmul": {"row_scale", "col_scale"},
    "kmedoids_swap_deltas": {"distance", "nearest", "gap"},
    "linear_recurrence": {"a"},
    "paged_attention": {"last"},
    "philox_uniform": {"counter"},
}
"""Tensors whose values the manifest bounds by what they mean; a probe sees only which values run."""


def reference(task: Task, workload: Workload) -> Reference:
    return Reference(task.source, task.form, task.entry, workload.axes)


def drawn(spec: InputSpec) -> torch.Tensor:
    """Draw as a verification does: the structured domains (offsets, ...) are the verifier's to fill."""
    made = draw_tensor(spec, Distribution.NORMAL, 0, "references")
    return torch.frombuffer(bytearray(made.data), dtype=getattr(torch, made.dtype)).reshape(made.shape)


def tensors(workload: Workload) -> dict[str, torch.Tensor]:
    return {spec.name: drawn(spec) for spec in workload.inputs}


def bare(specs: tuple[InputSpec, ...]) -> tuple[InputSpec, ...]:
    return tuple(spec.model_copy(update={"domain": Domain()}) for spec in specs)


@TASKS
def test_manifest_states_the_tensors_that_the_reference_has_at_every_workload(task):
    for workload in task.workloads:
        assert bare(workload.inputs) == bare(reference(task, workload).specs())


@PROBED
def test_manifest_states_the_axes_and_domains_that_a_probe_finds(task):
    probed = probe(task.source)
    assert (probed.form, probed.entry) == (task.form, task.entry)
    assert [axis.name for axis in probed.axes] == [axis.name for axis in task.axes]
    stated = next(w for w in task.workloads if w.axes == probed.default.axes)
    assert bare(stated.inputs) == bare(probed.default.inputs)
    differ = {s.name for s, p in zip(stated.inputs, probed.default.inputs, strict=True) if s.domain != p.domain}
    assert differ == NARROWER.get(task.slug, set())


@TASKS
def test_reference_runs_in_native_and_oracle_precision_at_every_verify_workload(task):
    for workload in task.workloads_for(Purpose.VERIFY):
        given = tensors(workload)
        ran = reference(task, workload)
        native, oracle = (ran.forward(given, p) for p in (Precision.NATIVE, Precision.ORACLE))
        for ours, exact in zip(native, oracle, strict=True):
            assert_near(ours, exact)


@pytest.mark.parametrize(
    "task", [task for task in library() if task.direction is Direction.BACKWARD], ids=lambda task: task.slug
)
def test_gradients_are_finite_float64_and_have_the_sizes_of_their_tensors(task):
    for workload in task.workloads_for(Purpose.VERIFY):
        given = tensors(workload)
        ran = reference(task, workload)
        upstream = [torch.randn_like(y) for y in ran.forward(given, Precision.NATIVE) if y.is_floating_point()]
        got = ran.backward(given, upstream, task.saved, task.gradients, Precision.ORACLE)
        for name, gradient in zip(task.gradients, got.gradients, strict=True):
            assert (gradient.shape, gradient.dtype) == (given[name].shape, torch.float64)
            assert torch.isfinite(gradient).all()


@TASKS
def test_eager_ops_are_known_at_bench_sizes_without_running_them(task):
    for workload in task.workloads_for(Purpose.BENCH):
        shaped = {s.name: torch.empty(s.shape, dtype=getattr(torch, s.dtype), device="meta") for s in workload.inputs}
        ops = reference(task, workload).eager_ops(shaped, task.gradients)
        assert any(op.bytes_read > 0 for op in ops)
        assert all(op.bytes_written > 0 for op in ops)


def assert_near(ours: torch.Tensor, exact: torch.Tensor) -> None:
    """Compare what the reference states with float64; 16-bit results may differ by their own rounding."""
    if not ours.is_floating_point():
        assert torch.equal(ours, exact)
        return
    assert exact.dtype is torch.float64
    assert torch.isfinite(exact).all()
    share = 2e-4 if ours.dtype is torch.float32 else 2e-2
    torch.testing.assert_close(ours.double(), exact, atol=share * float(exact.abs().max()), rtol=share)
