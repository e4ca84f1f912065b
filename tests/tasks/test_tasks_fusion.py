"""A model cut into groups of operators that fuse, and a group as a task of its own."""

from __future__ import annotations

import pytest

from tasks.fusion import split_traces
from tasks.reference import Reference, probe, split
from tasks.traced import NUMBER, Operator, OperatorKind, Trace
from tasks.values import DType, Precision, ReferenceForm

NET = """import torch
from torch import nn

batch = 48
width = 96
hidden = 200


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.norm = nn.LayerNorm(hidden)

    def forward(self, x):
        y = torch.relu_(self.up(x)) * 2
        return torch.softmax(self.norm(y) + 1, dim=-1), y


def get_inputs():
    return [torch.rand(batch, width)]
"""


def operator(name: str, kind: OperatorKind, *uses: str, cost: int = 1) -> Operator:
    text = f"torch.ops.aten.any({', '.join((*uses, NUMBER))})"
    return Operator(
        name=name, op=f"aten::{name}", kind=kind, text=text, numbers=(4,), uses=uses, shape=(4,), dtype=DType.FLOAT32,
        nbytes=0 if kind in {OperatorKind.SOURCE, OperatorKind.FREE} else cost,
    )  # fmt: skip


def groups_of(*operators: Operator) -> list[tuple[str, ...]]:
    trace = Trace(axes={"n": 4}, operators=operators, results=(operators[-1].name,))
    return [tuple(op.removeprefix("aten::") for op in group.ops) for group in split_traces([trace]).groups]


def test_what_follows_a_product_joins_it_and_a_reduction_does_not():
    found = groups_of(
        operator("x", OperatorKind.SOURCE),
        operator("mm", OperatorKind.CONTRACTION, "x", cost=9),
        operator("view", OperatorKind.FREE, "mm"),
        operator("relu", OperatorKind.POINTWISE, "view"),
        operator("sum", OperatorKind.REDUCTION, "relu"),
        operator("exp", OperatorKind.POINTWISE, "sum"),
    )
    assert found == [("mm", "relu"), ("sum", "exp")]


def test_no_group_waits_for_itself():
    # `add` needs both `relu` and the product that `relu` feeds: joining `relu` would make the groups wait for each other.
    found = groups_of(
        operator("x", OperatorKind.SOURCE),
        operator("relu", OperatorKind.POINTWISE, "x", cost=5),
        operator("mm", OperatorKind.CONTRACTION, "relu", cost=3),
        operator("sort", OperatorKind.OTHER, "mm", cost=2),
        operator("add", OperatorKind.POINTWISE, "relu", "sort"),
    )
    assert found == [("relu",), ("mm",), ("sort", "add")]


def test_a_group_without_tensors_makes_no_task():
    (group,) = split_traces(
        [Trace(axes={}, operators=(operator("tril", OperatorKind.POINTWISE),), results=("tril",))]
    ).groups
    assert not group.source
    assert "takes no tensor" in group.refusal


@pytest.fixture(scope="module")
def model():
    return split(NET)


def test_the_groups_of_a_network_by_share(model):
    assert [group.ops for group in model.groups] == [
        ("aten::addmm", "aten::relu", "aten::mul"),
        ("aten::native_layer_norm", "aten::add", "aten::_softmax"),
    ]
    assert sum(group.byte_share for group in model.groups) == pytest.approx(1)
    assert sum(group.flop_share for group in model.groups) == pytest.approx(1)
    assert model.groups[0].flop_share > 0.9


def test_a_group_is_a_task_whose_sizes_vary(model):
    probed = probe(model.groups[1].source)
    assert {axis.name for axis in probed.axes} == {"batch", "hidden"}
    assert len(probed.varied) > 3


def test_the_groups_together_compute_the_model(model):
    whole = Reference(NET, ReferenceForm.MODULE, "Model", {})
    tensors = whole.examples()
    expected = whole.forward(tensors, Precision.ORACLE)
    known = {name.replace(".", "_"): tensor for name, tensor in tensors.items()}
    for number, group in enumerate(model.groups, start=1):
        part = Reference(group.source, ReferenceForm.FUNCTION, f"group_{number}", {})
        given = {spec.name: known.get(spec.name, known.get("between")) for spec in part.specs()}
        results = part.forward(given, Precision.ORACLE)
        known["between"] = results[-1]
    assert results[0].allclose(expected[0])
