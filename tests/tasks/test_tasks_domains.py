"""Domains, constraints, hyper-parameters: what a manifest may say, and the sentence where it contradicts itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.errors import UserError
from tasks.expressions import ExpressionError, evaluate, holds
from tasks.inference import task_from_probe
from tasks.loading import load_task
from tasks.manifest import read_manifest_task
from tasks.size_rules import infer_tensors
from tasks.trusted import TrustedProber
from tasks.values import (
    Axis,
    Domain,
    DomainKind,
    DType,
    Family,
    InputSpec,
    OutputProperty,
    ProbedSizes,
    ProbeResult,
    PropertyKind,
    ReferenceForm,
    Task,
)

SOURCE = """
import torch

heads = 8
kv_heads = 2
edges = 50
eps = 1e-5
mode = "mean"


def attend(q, k, offsets):
    return q * k.repeat_interleave(heads // kv_heads, 0) + eps * offsets.sum()


def get_inputs():
    return [torch.randn(heads, 4), torch.randn(kv_heads, 4), torch.zeros(5, dtype=torch.int32)]
"""

MANIFEST = """
title = "Grouped scaling"
form = "function"
entry = "attend"
constraints = ["heads % kv_heads == 0", "kv_heads <= heads"]
family = "attention"
formula = "y = q k + eps"
why = "Keys are shared by a group of heads."

[hyperparameters]
eps = "added to every element"
mode = "how groups are joined"

[axes.heads]
[axes.kv_heads]
[axes.edges]
low = 0

[[tensors]]
name = "q"
shape = ["heads", 4]
domain = "bounded"
low = -0.5
high = 1

[[tensors]]
name = "k"
shape = ["kv_heads", 4]

[[tensors]]
name = "offsets"
shape = [5]
dtype = "int32"
domain = "offsets"
high = "edges"

[[properties]]
kind = "rearranges"
of = "q"
reason = "any order is right"

[[workloads]]
axes = { heads = 8, kv_heads = 4, edges = 9 }
weight = 2.5

[provenance]
origin = "the tests"
licence = "Apache-2.0"
url = "https://example.org"
"""


def read(tmp_path, manifest: str = MANIFEST, source: str = SOURCE) -> Task:
    (tmp_path / "op.py").write_text(source, encoding="utf-8")
    (tmp_path / "op.toml").write_text(manifest.replace("low = 0\n", ""), encoding="utf-8")
    return read_manifest_task(tmp_path / "op.py")


def test_a_manifest_says_all_of_it(tmp_path):
    task = read(tmp_path)
    (workload,) = task.workloads
    q, k, offsets = workload.inputs
    assert q.domain == Domain(kind=DomainKind.BOUNDED, low=-0.5, high=1)
    assert (k.domain, offsets.domain) == (Domain(), Domain(kind=DomainKind.OFFSETS, high=9))
    assert [(h.name, h.value) for h in task.hyperparameters] == [("eps", 1e-5), ("mode", "mean")]
    assert (task.family, workload.weight, task.provenance.url) == (Family.ATTENTION, 2.5, "https://example.org")
    assert task.properties[0].kind is PropertyKind.REARRANGES
    assert Task.model_validate_json(task.model_dump_json()) == task


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("kv_heads = 4,", "kv_heads = 3,", "breaks the constraint 'heads % kv_heads == 0'"),
        ('"kv_heads <= heads"', '"kv_heads + heads"', "is not a comparison"),
        ('"kv_heads <= heads"', '"width <= heads"', "unknown name 'width'"),
        ('eps = "', 'epsilon = "', "'epsilon' is no module-level constant of op.py"),
        ('high = "edges"', 'high = "nodes"', "unknown name 'nodes'"),
        ("low = -0.5", "low = 2.5", "'low' 2.5 lies above 'high' 1"),
        ("low = -0.5\n", "", "a domain of kind 'bounded' needs 'low'"),
        ('dtype = "int32"\n', "", "'offsets': values of kind 'offsets' are integers"),
        ('domain = "bounded"', 'domain = "positive"', "a domain of kind 'positive' takes no 'high'"),
        ('of = "q"', 'of = "x"', "a property is 'of' the tensor 'x'"),
        ('kind = "rearranges"', 'kind = "sorted"', "a property of kind 'sorted' takes no 'of'"),
        ('name = "k"', 'name = "q"', "two tensors are called 'q'"),
        ('family = "attention"', 'family = "heads"', "family: Input should be"),
        ("[axes.edges]", "[axes.q_dim1]\ndefault = 4\n[axes.edges]", "must state a size for each of"),
        ("[axes.edges]", "[axes.edges]\ndefault = 4", "'default' of axis 'edges' is the constant"),
        ("weight = 2.5", "shapes = { z = [1] }", "'z', which is no tensor"),
    ],
)
def test_each_contradiction_is_one_sentence(tmp_path, old, new, sentence):
    assert old in MANIFEST
    with pytest.raises(UserError) as caught:
        read(tmp_path, MANIFEST.replace(old, new, 1))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_manifest_beside_a_file_is_the_task_under_both_names(tmp_path):
    task = read(tmp_path)
    assert load_task(str(tmp_path / "op.py"), TrustedProber()) == task
    assert load_task(str(tmp_path / "op.toml"), TrustedProber()) == task
    (tmp_path / "op.py").unlink()
    with pytest.raises(UserError, match=r"no file '.*op\.py'"):
        load_task(str(tmp_path / "op.toml"), TrustedProber())


def test_sizes_without_a_rule_are_stated_by_the_workload(tmp_path):
    manifest = MANIFEST.replace("weight = 2.5", "shapes = { k = [3, 7] }\nhighs = { offsets = 11 }")
    task = read(tmp_path, manifest)
    assert task.workloads[0].inputs[1].shape == (3, 7)
    assert task.workloads[0].inputs[2].domain.high == 11
    assert task.tensors == ()


def test_an_axis_may_be_a_dimension_of_an_input(tmp_path):
    source = "import torch\ndef op(x):\n    return x * 2\nexample_inputs = [torch.randn(6, 4)]\n"
    manifest = (
        'title = "t"\nform = "function"\nentry = "op"\n[axes.x_dim0]\ndefault = 6\n'
        '[[tensors]]\nname = "x"\nshape = ["x_dim0", 4]\n[[workloads]]\naxes = { x_dim0 = 3 }\n'
        '[provenance]\norigin = "user"\nlicence = "unknown"\n'
    )
    task = read(tmp_path, manifest, source)
    assert task.axes[0].default == 6
    assert task.workloads[0].inputs[0].shape == (3, 4)


@pytest.mark.parametrize(
    ("domain", "shape", "floating", "misfit"),
    [
        (Domain(kind=DomainKind.SYMMETRIC), (4, 5), True, "square, not 4 by 5"),
        (Domain(kind=DomainKind.CAUSAL), (4,), True, "need 2 dimensions"),
        (Domain(kind=DomainKind.SIMPLEX), (), True, "need 1 dimensions"),
        (Domain(kind=DomainKind.POSITIVE_DEFINITE), (4, 4), False, "floating-point"),
        (Domain(kind=DomainKind.PERMUTATION, high=3), (2, 4), False, "4 different integers do not fit below 3"),
        (Domain(kind=DomainKind.PERMUTATION, high=4), (2, 4), False, ""),
    ],
)
def test_a_domain_knows_which_tensors_have_its_values(domain, shape, floating, misfit):
    assert misfit in domain.misfit(shape, floating=floating)
    assert bool(misfit) == bool(domain.misfit(shape, floating=floating))


def test_a_tensor_without_legal_values_is_refused():
    with pytest.raises(ValidationError, match="'a': matrices of kind 'symmetric' are square"):
        InputSpec(name="a", shape=(2, 3), dtype=DType.FLOAT32, domain=Domain(kind=DomainKind.SYMMETRIC))


@pytest.mark.parametrize("kind", list(PropertyKind))
def test_a_property_says_which_arguments_it_lacks(kind):
    with pytest.raises(ValidationError, match=r"(needs|takes no) '(of|times|tolerance)'"):
        OutputProperty(kind=kind, of=None, times=1, tolerance=None, reason="r")


@pytest.mark.parametrize("kind", list(PropertyKind))
def test_a_property_reads_as_words_with_its_arguments(kind):
    stated = OutputProperty.model_construct(output=0, kind=kind, of="keys", times=3, tolerance=0.25, reason="r")
    named = {name: getattr(stated, name) is not None and text in str(stated) for name, text in ARGUMENTS.items()}
    needed = {"output": 0, "kind": kind, "reason": "r"} | {
        n: getattr(stated, n) for n, is_said in named.items() if is_said
    }
    assert OutputProperty.model_validate(needed).kind is kind  # what it names is what it needs


ARGUMENTS = {"of": "`keys`", "times": "output 3", "tolerance": "0.25"}
sides = st.sampled_from(["rows", "cols", "3", "rows + 1", "cols % 4", "2 * rows"])
signs = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
NAMES = {"rows": 6, "cols": 35}


@given(sides, signs, sides, signs, sides)
def test_constraints_mean_what_python_means(first, sign, second, other, third):
    text = f"{first} {sign} {second} {other} {third}"
    assert holds(text, NAMES) == eval(text, {}, NAMES)  # noqa: S307 - the test's own grammar


@pytest.mark.parametrize("text", ["rows", "rows == 1 and cols == 2", "rows in cols", "rows <"])
def test_what_is_no_comparison_is_no_constraint(text):
    with pytest.raises(ExpressionError):
        holds(text, NAMES)


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=3, max_size=6, unique=True))
def test_inferred_rules_hold_where_they_were_read_off(pairs):
    def specs(a: int, b: int) -> tuple[InputSpec, ...]:
        return (
            InputSpec(name="x", shape=(a * b, 3 * a, b + 2, 7), dtype=DType.FLOAT32),
            InputSpec(name="i", shape=(a,), dtype=DType.INT64, domain=Domain(kind=DomainKind.INDEX, high=a * b)),
        )

    seen = [({"a": a, "b": b}, specs(a, b)) for a, b in pairs]
    tensors = infer_tensors(seen)
    assert tensors is not None
    for axes, wanted in seen:
        assert tuple(tensor.spec(axes) for tensor in tensors) == wanted
    assert all(evaluate(size, {"a": 2, "b": 3}) > 0 for size in tensors[0].shape)


def test_an_inferred_task_says_how_its_tensors_follow_the_axes_and_what_is_constant():
    def at(rows: int, cols: int) -> ProbedSizes:
        x = InputSpec(name="x", shape=(rows, cols), dtype=DType.FLOAT32)
        return ProbedSizes(axes={"rows": rows, "cols": cols}, inputs=(x,))

    axes = (Axis(name="rows", default=64), Axis(name="cols", default=32))
    probed = ProbeResult(
        form=ReferenceForm.FUNCTION, entry="op", axes=axes, default=at(64, 32), varied=(at(1, 7), at(5, 3))
    )
    task = task_from_probe("op", "rows = 64\ncols = 32\nscale = 0.5\n", probed)
    assert task.tensors[0].shape == ("rows", "cols")
    assert [(h.name, h.value) for h in task.hyperparameters] == [("scale", 0.5)]


def test_the_hash_leaves_out_what_has_its_default(tmp_path):
    task = read(tmp_path)
    assert task.content_hash == task.model_copy(update={"saved": ()}).content_hash
    assert task.content_hash != task.model_copy(update={"constraints": ()}).content_hash
