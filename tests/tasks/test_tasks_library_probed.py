"""A manifest of the library says what a probe of its reference finds, or less where it knows more."""

from __future__ import annotations

import pytest

from tasks.loading import library
from tasks.reference import probe
from tasks.values import Domain, DomainKind, InputSpec

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


def bare(specs: tuple[InputSpec, ...]) -> tuple[InputSpec, ...]:
    return tuple(spec.model_copy(update={"domain": Domain()}) for spec in specs)


@PROBED
def test_manifest_states_the_axes_and_domains_that_a_probe_finds(task):
    probed = probe(task.source)
    assert (probed.form, probed.entry) == (task.form, task.entry)
    assert [axis.name for axis in probed.axes] == [axis.name for axis in task.axes]
    stated = next(w for w in task.workloads if w.axes == probed.default.axes)
    assert bare(stated.inputs) == bare(probed.default.inputs)
    differ = {s.name for s, p in zip(stated.inputs, probed.default.inputs, strict=True) if s.domain != p.domain}
    assert differ == NARROWER.get(task.slug, set())
