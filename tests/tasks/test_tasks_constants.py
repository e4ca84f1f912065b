"""Reading and rewriting the sizes of a source, and the arithmetic in which sizes are written."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.constants import module_constants, with_constants
from tasks.errors import UserError
from tasks.expressions import ExpressionError, evaluate

SOURCE = """
rows = 16
cols: int = 64 * 1024
batch, (heads), scale = 2, 12, 0.5
negative = -1
hidden = 4 * cols
seed = 1
seed = 2
flag = True
shape = (3, 2 * 2, seed)
shape_1 = None
for step in range(3):
    counted = 7

def get_inputs():
    rows = 99
    return [rows]
"""


def run(source: str, values: dict[str, int]) -> dict[str, object]:
    namespace: dict[str, object] = {}
    exec(compile(with_constants(source, values), "<test>", "exec"), namespace)  # noqa: S102 - the test's own text
    return namespace


def test_constants_are_integers_bound_once_at_module_level():
    assert module_constants(SOURCE) == {
        "rows": 16,
        "cols": 65536,
        "batch": 2,
        "heads": 12,
        "negative": -1,
        "shape_0": 3,
    }


def test_rewritten_constants_carry_into_what_derives_from_them():
    namespace = run(SOURCE, {"cols": 5, "heads": 3})
    assert (namespace["cols"], namespace["hidden"], namespace["heads"], namespace["batch"]) == (5, 20, 3, 2)
    assert namespace["scale"] == 0.5
    assert namespace["get_inputs"]() == [99]


def test_elements_of_a_tuple_are_rewritten_in_place():
    assert run("shape = (3, 4)\nsizes = [5]\n", {"shape_1": 9, "sizes_0": 1}) | {"__builtins__": None} == {
        "shape": (3, 9),
        "sizes": [1],
        "__builtins__": None,
    }


def test_a_chain_is_one_constant_and_a_broadcast_dimension_is_none():
    source = "height = width = 8\nbias_shape = (1, 4, 1)\n"
    assert module_constants(source) == {"height": 8, "bias_shape_1": 4}
    namespace = run(source, {"height": 3, "bias_shape_1": 5})
    assert (namespace["width"], namespace["bias_shape"]) == (3, (1, 5, 1))


def test_line_numbers_stay_those_of_the_source():
    tree = with_constants("a = 1\nb = 2\ndef f():\n    raise ValueError\n", {"b": 9})
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Raise)] == [4]


def test_an_axis_that_is_no_constant_is_named_with_those_that_are():
    with pytest.raises(UserError, match=r"no module-level integer constant 'width' \(it has: rows\)"):
        with_constants("rows = 3", {"width": 1})


@pytest.mark.parametrize("source", ["def f(:", "x = \0"])
def test_what_is_not_python_is_one_sentence(source):
    with pytest.raises(UserError, match="not valid Python"):
        module_constants(source)


@given(st.dictionaries(st.sampled_from(["rows", "batch", "heads"]), st.integers(1, 1 << 40)))
def test_any_sizes_can_be_set(values):
    namespace = run(SOURCE, values)
    assert {name: namespace[name] for name in values} == values


names = {"rows": 6, "cols": 35}
leaves = st.one_of(st.integers(0, 1000).map(str), st.sampled_from(list(names)))
expressions = st.recursive(
    leaves,
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "//", "%"]), inner).map(
        lambda t: f"({t[0]} {t[1]} {t[2]})"
    ),
)


@given(expressions)
def test_expressions_mean_what_python_means(text):
    try:
        expected = eval(text, {}, names)  # noqa: S307 - the test's own grammar
    except ZeroDivisionError:
        with pytest.raises(ExpressionError, match="division by zero"):
            evaluate(text, names)
    else:
        assert evaluate(text, names) == expected


def test_expressions_take_integers_signs_and_powers():
    assert evaluate(7, {}) == 7
    assert evaluate("-cols + 2 ** 3", names) == -27


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("depth * 2", "unknown name 'depth'"),
        ("rows / 2", "not integer arithmetic"),
        ("rows.real", "not integer arithmetic"),
        ("max(rows, 2)", "not integer arithmetic"),
        ("True", "not integer arithmetic"),
        ("2 ** 1000", "exponent 1000"),
        ("rows +", "not an arithmetic expression"),
    ],
)
def test_anything_else_is_refused(text, problem):
    with pytest.raises(ExpressionError, match=problem):
        evaluate(text, names)
