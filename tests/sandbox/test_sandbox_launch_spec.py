from __future__ import annotations

import pytest

from sandbox.launch.expressions import ExpressionError
from sandbox.launch.spec import (
    InputShape,
    LaunchPlan,
    PlannedBuffer,
    PlannedLaunch,
    PlannedScalar,
    parse_launch_spec,
)
from sandbox.values import BuildError, BuildErrorKind
from tasks.values import DType

SPEC = """
inputs = ["x", "weight"]

[symbols]
rows = "x.shape[0]"
cols = "x.shape[1]"
tiles = "cdiv(cols, 128)"

[[outputs]]
name = "y"
dtype = "x"
shape = ["rows", "cols"]

[[scratch]]
name = "partial"
dtype = "float32"
shape = ["rows", "tiles"]
zero = true

[[launches]]
kernel = "reduce"
grid = ["tiles", "rows"]
block = [128]
dynamic_shared = "128 * 4"
args = ["x", "weight", "partial", { int32 = "cols" }, { float32 = 1e-5 }]

[[launches]]
kernel = "finish"
grid = ["rows"]
block = [32, 4]
args = ["x", "partial", "y", { int64 = "partial.numel" }, { float64 = 0.5 }]
"""
ARGUMENTS = (InputShape(DType.FLOAT16, (5, 300)), InputShape(DType.FLOAT32, (300,)))


def test_a_plan_has_every_figure():
    assert parse_launch_spec(SPEC).plan(ARGUMENTS) == LaunchPlan(
        inputs=("x", "weight"),
        outputs=(PlannedBuffer("y", DType.FLOAT16, (5, 300), zero=False),),
        scratch=(PlannedBuffer("partial", DType.FLOAT32, (5, 3), zero=True),),
        launches=(
            PlannedLaunch(
                "reduce",
                (3, 5, 1),
                (128, 1, 1),
                512,
                ("x", "weight", "partial", PlannedScalar(DType.INT32, 300), PlannedScalar(DType.FLOAT32, 1e-5)),
            ),
            PlannedLaunch(
                "finish",
                (5, 1, 1),
                (32, 4, 1),
                0,
                ("x", "partial", "y", PlannedScalar(DType.INT64, 15), PlannedScalar(DType.FLOAT64, 0.5)),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("inputs = [", "inputs = [[", "not TOML"),
        ('inputs = ["x", "weight"]', "", "inputs"),
        ('"weight"]', '"weight", "x"]', "same name"),
        ('name = "partial"', 'name = "y"', "same name"),
        ('dtype = "float32"', 'dtype = "complex64"', "neither an element type"),
        ('"weight", "partial"', '"weights", "partial"', "`weights`"),
        ('{ int32 = "cols" }', '{ int32 = "cols", int64 = 1 }', "exactly one type"),
        ('{ int32 = "cols" }', "{ int8 = 3 }", "int8"),
        ("block = [128]", "block = []", "block"),
        ("block = [128]", "block = [1, 2, 3, 4]", "block"),
        ("block = [128]", "block = [128]\nclusters = 2", "clusters"),
        ('kernel = "reduce"', 'kernel = "re duce"', "kernel"),
        ("zero = true", "zero = 'maybe'", "zero"),
    ],
)
def test_a_mistake_is_named(old, new, said):
    assert old in SPEC
    with pytest.raises(BuildError) as failure:
        parse_launch_spec(SPEC.replace(old, new, 1))
    assert failure.value.kind is BuildErrorKind.SPEC
    assert said in failure.value.summary


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"x.shape[1]"', '"x.shape[2]"', "2 axes"),
        ('shape = ["rows", "cols"]', 'shape = ["rows", "cols - 1000"]', "shape"),
        ('shape = ["rows", "cols"]', 'shape = ["1000000", "1000000", "1000000"]', "shape"),
        ('"cdiv(cols, 128)"', '"cdiv(cols, rows - 5)"', "divides by zero"),
        ('{ int32 = "cols" }', '{ int32 = "cols * 1000000000" }', "does not fit"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(old, new, said):
    assert old in SPEC
    with pytest.raises(ExpressionError, match=said):
        parse_launch_spec(SPEC.replace(old, new, 1)).plan(ARGUMENTS)


def test_the_number_of_inputs_must_be_the_tasks():
    with pytest.raises(ExpressionError, match="2 inputs, the task gives 1"):
        parse_launch_spec(SPEC).plan(ARGUMENTS[:1])
