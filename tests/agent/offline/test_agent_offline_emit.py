"""Sources against snapshots: `UPDATE_SNAPSHOTS=1 pytest tests/agent/offline` writes them anew."""

import os
from pathlib import Path

import pytest

from agent.offline.candidates import Target, ranked
from agent.offline.emit import emit
from agent.offline.identifiers import identifiers
from agent.offline.primitives import literal_text
from agent.offline.schedules import MatmulSchedule, PointwiseSchedule, RowSchedule, SerialSchedule, WholeSchedule
from agent.offline.trace import understand

SNAPSHOTS = Path(__file__).with_name("snapshots")
CASES = {
    "gelu": ("F.gelu(x, approximate='tanh')", {"x": "a b"}, [PointwiseSchedule()]),
    "softmax": ("torch.softmax(x, -1)", {"x": "a b"}, [RowSchedule(shared=1)]),
    "softmax_columns": ("torch.softmax(x, 1)", {"x": "a b c"}, [SerialSchedule()]),
    "linear_gelu": ("F.gelu(F.linear(x, w, v))", {"x": "a b", "w": "c b", "v": "c"}, [MatmulSchedule()]),
    "cross_entropy": (
        "F.cross_entropy(x, index)",
        {"x": "a b", "index": "a"},
        [RowSchedule(), WholeSchedule(block=256, blocks=128)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_sources_match_their_snapshots(task_of, tracer, name):
    expression, tensors, schedules = CASES[name]
    source = emit(understand(task_of(expression, **tensors), tracer).program, schedules)
    place = SNAPSHOTS / f"{name}.cu"
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        place.write_text(source, encoding="utf-8")
    assert source == place.read_text(encoding="utf-8")


def test_half_precision_is_computed_in_float(task_of, tracer):
    traced = understand(task_of("torch.exp(half) * brain", half="a b", brain="a b"), tracer)
    source = emit(traced.program, [PointwiseSchedule()])
    assert "const __half* half" in source
    assert "__float2half_rn" not in source.replace("return __float2half_rn(value);", "")
    assert "expf(" in source


def test_every_ranked_schedule_can_be_written(task_of, tracer):
    traced = understand(task_of("F.layer_norm(x + y, (b,), w, v)", x="a b", y="a b", w="b", v="b"), tracer)
    sources = [emit(traced.program, schedules) for schedules in ranked(traced.program, Target(traced.benchmarks, 132))]
    assert len(set(sources)) == len(sources) > 4


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["x", "layer.weight"], ["x", "layer_weight"]),
        (["float", "out", "0", ""], ["float_", "in_out", "in_0", "in_"]),
        (["a.b", "a_b"], ["a_b", "a_b_"]),
        (["größe", "row"], ["gr__e", "row_"]),
    ],
)
def test_tensor_names_become_identifiers(names, expected):
    assert list(identifiers(names).values()) == expected


@pytest.mark.parametrize(
    ("value", "c_type", "text"),
    [
        (0.5, "float", "0.5f"),
        (1e-6, "float", "1e-06f"),
        (2.0, "double", "2.0"),
        (-100.0, "int64_t", "-100"),
        (1.0, "bool", "true"),
        (float("-inf"), "float", "-static_cast<float>(INFINITY)"),
        (float("nan"), "double", "static_cast<double>(NAN)"),
    ],
)
def test_literals(value, c_type, text):
    assert literal_text(value, c_type) == text
