"""What a probe finds out about sources of many kinds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import UserError
from tasks.inference import MOST_ELEMENTS
from tasks.reference import Reference, probe
from tasks.reference.sizes import SizeSearch, Trial
from tasks.values import DomainKind, DType, ProbedSizes, ProbeResult, ReferenceForm, Role

SOFTMAX = """
import torch
from torch import nn

rows = 4096
cols = 2048
seed = 3


class Model(nn.Module):
    def forward(self, x):
        return torch.softmax(x, dim=-1)


def get_inputs():
    return [torch.rand(rows, cols)]
"""

ATTENTION = """
import torch
from torch import nn

batch = 4
width = 96
heads = 6
length = 64


class Model(nn.Module):
    def __init__(self, width, heads, length):
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.norm = nn.BatchNorm1d(width)
        self.register_buffer("causal", torch.tril(torch.ones(length, length)))

    def forward(self, x, padding):
        b, t, w = x.shape
        x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        q, k, v = (y.view(b, t, self.heads, -1).transpose(1, 2) for y in self.project(x).chunk(3, dim=-1))
        scores = q @ k.transpose(-1, -2)
        scores = scores.masked_fill(self.causal[:t, :t] == 0, -1e9).masked_fill(padding[:, None, None], -1e9)
        return scores.softmax(-1) @ v


def get_inputs():
    return [torch.randn(batch, length, width), torch.rand(batch, length) > 0.5]


def get_init_inputs():
    return [width, heads, length]
"""


def function(body: str, parameters: str, inputs: str, before: str = "") -> str:
    return f"import torch\n{before}\n\ndef op({parameters}):\n    return {body}\n\ndef get_inputs():\n    return [{inputs}]\n"


def spec_of(sizes: ProbedSizes, name: str):
    return next(spec for spec in sizes.inputs if spec.name == name)


@pytest.fixture(scope="module")
def attention() -> ProbeResult:
    return probe(ATTENTION)


def test_constants_that_shape_the_tensors_are_axes_and_others_are_not():
    probed = probe(SOFTMAX)
    assert (probed.form, probed.entry) == (ReferenceForm.MODULE, "Model")
    assert [(a.name, a.default, a.low) for a in probed.axes] == [("rows", 4096, 1), ("cols", 2048, 1)]
    assert spec_of(probed.default, "x").shape == (4096, 2048)


def test_varied_sizes_have_single_rows_tails_long_and_short_axes():
    sizes = [s.axes for s in probe(SOFTMAX).varied]
    assert sizes[0]["rows"] == 1
    assert any(s["cols"] == 1 for s in sizes)
    assert any(s["cols"] > 1024 for s in sizes)
    assert any((s["cols"] - 1).bit_count() == 1 for s in sizes)  # a power of two and one
    assert len({tuple(s.items()) for s in sizes}) == len(sizes) >= 8
    assert all(spec.nbytes <= 4 * MOST_ELEMENTS for s in probe(SOFTMAX).varied for spec in s.inputs)


def test_a_probe_survives_the_way_through_json():
    probed = probe(SOFTMAX)
    assert ProbeResult.model_validate_json(probed.model_dump_json()) == probed


def test_sizes_that_depend_on_each_other_stay_legal(attention):
    assert [axis.name for axis in attention.axes] == ["batch", "width", "length"]
    assert all(sizes.axes["width"] % 6 == 0 for sizes in attention.varied)
    assert len({sizes.axes["length"] for sizes in attention.varied}) > 3


def test_tensors_of_a_model_come_as_inputs_parameters_and_the_buffers_that_are_read(attention):
    assert [(s.name, s.role) for s in attention.default.inputs] == [
        ("x", Role.INPUT),
        ("padding", Role.INPUT),
        ("project.weight", Role.PARAMETER),
        ("project.bias", Role.PARAMETER),
        ("norm.weight", Role.PARAMETER),
        ("norm.bias", Role.PARAMETER),
        ("causal", Role.BUFFER),
        ("norm.running_mean", Role.BUFFER),
        ("norm.running_var", Role.BUFFER),
    ]


def test_domains_are_those_at_which_the_reference_runs(attention):
    kinds = {spec.name: spec.domain.kind for spec in attention.default.inputs}
    assert kinds["x"] is DomainKind.REAL
    assert kinds["padding"] is kinds["causal"] is DomainKind.MASK
    assert kinds["norm.running_var"] is DomainKind.POSITIVE


@pytest.mark.parametrize(
    ("body", "inputs", "kind"),
    [
        ("torch.relu(x)", "torch.rand(9, 8)", DomainKind.REAL),
        ("torch.log(x)", "torch.rand(9, 8)", DomainKind.POSITIVE),
        ("torch.cumprod(x, 0)", "torch.rand(400, 2)", DomainKind.REAL),
        ("torch.log(x.abs())", "torch.rand(9, 8) - 0.5", DomainKind.REAL),
        ("torch.nn.functional.binary_cross_entropy(x, x)", "torch.rand(9, 8)", DomainKind.PROBABILITY),
        ("x * 2", "(torch.rand(9, 8) > 0.5).float()", DomainKind.MASK),
        ("x + 1", "torch.randint(-5, 5, (9, 8))", DomainKind.REAL),
    ],
)
def test_each_kind_of_domain(body, inputs, kind):
    assert spec_of(probe(function(body, "x", inputs)).default, "x").domain.kind is kind


def test_an_index_is_bounded_by_what_runs_at_each_size_and_at_sizes_too_large_to_run():
    source = function(
        "torch.nn.functional.cross_entropy(x, target)",
        "x, target",
        "torch.randn(rows, classes), torch.randint(0, classes, (rows,))",
        before="rows = 100000\nclasses = 50000",
    )
    probed = probe(source)
    for sizes in (probed.default, *probed.varied):
        target = spec_of(sizes, "target")
        assert (target.dtype, target.domain.high) == (DType.INT64, sizes.axes["classes"])


def test_an_index_without_bound_takes_what_the_examples_hold():
    probed = probe(function("x + 1", "x", "torch.full((rows,), 41)", before="rows = 64"))
    assert {spec_of(s, "x").domain.high for s in (probed.default, *probed.varied)} == {42}


def test_literal_sizes_become_axes_named_after_dimensions():
    source = function(
        "(x + shift) * weight[0]", "x, shift, weight", "torch.rand(64, 64), torch.rand(64), torch.rand(3)"
    )
    probed = probe(source)
    assert [(axis.name, axis.default) for axis in probed.axes] == [("x_dim0", 64), ("x_dim1", 64), ("weight_dim0", 3)]
    for sizes in probed.varied:
        assert spec_of(sizes, "x").shape == (sizes.axes["x_dim0"], sizes.axes["x_dim1"])
        assert spec_of(sizes, "shift").shape == (sizes.axes["x_dim1"],)
    assert Reference(source, probed.form, probed.entry, probed.varied[0].axes).specs() is not None


def test_a_dimension_that_a_parameter_fixes_does_not_vary():
    source = SOFTMAX.replace("torch.softmax(x, dim=-1)", "self.linear(x)").replace("rows, cols", "32, 20")
    source = source.replace("    def forward", "    def __init__(self):\n        super().__init__()\n"
                            "        self.linear = nn.Linear(20, 4)\n\n    def forward")  # fmt: skip
    probed = probe(source)
    assert [axis.name for axis in probed.axes] == ["x_dim0"]
    assert {spec_of(s, "x").shape[1] for s in probed.varied} == {20}


def test_elements_of_a_constant_tuple_are_axes():
    probed = probe(function("x.sum()", "x", "torch.rand(batch, *shape)", before="batch = 64\nshape = (4096,)"))
    assert [axis.name for axis in probed.axes] == ["batch", "shape_0"]


def test_dimensions_vary_where_the_constants_do_not_lead_to_small_sizes():
    probed = probe(function("x.sum(-1)", "x", "torch.rand(batch, 70000)", before="batch = 64"))
    assert [axis.name for axis in probed.axes] == ["x_dim0", "x_dim1"]


def test_a_size_that_only_broadcasts_is_no_axis():
    probed = probe(function("(x * y).sum()", "x, y", "torch.rand(n, m), torch.rand(n)", before="n = 64\nm = 64"))
    assert [axis.name for axis in probed.axes] == ["x_dim0", "x_dim1"]
    assert all(spec_of(sizes, "y").shape == (sizes.axes["x_dim1"],) for sizes in probed.varied)


def test_literal_sizes_too_large_to_draw_are_answered_with_the_remedy():
    with pytest.raises(UserError, match=r"take 16\.0 GiB, and no module-level constants .* make them smaller"):
        probe(function("x + 1", "x", "torch.rand(65536, 65536)"))


def test_example_inputs_may_be_a_list_a_mapping_or_variadic():
    listed = "import torch\ndef op(x, factor):\n    return x * factor\nexample_inputs = [torch.rand(6), 2.5]\n"
    named = listed.replace("[torch.rand(6), 2.5]", "{'factor': 2.5, 'x': torch.rand(6)}")
    variadic = listed.replace("x, factor", "*x").replace("x * factor", "x[0] * x[1]")
    assert [s.name for s in probe(listed).default.inputs] == ["x"]
    assert [s.name for s in probe(named).default.inputs] == ["x"]
    assert [s.name for s in probe(variadic).default.inputs] == ["x_0"]


def test_the_outermost_of_several_functions_is_the_op():
    source = "import torch\ndef scale(x):\n    return x * 2\ndef op(x):\n    return scale(x)\nexample_inputs = [torch.rand(6)]\n"
    assert probe(source).entry == "op"


def test_a_source_that_looks_at_values_is_probed_with_values():
    probed = probe(
        function(
            "x * 2 if x.sum() > 0 else x", "x", "torch.rand(n)", before="n = 1 << 23".replace("1 << 23", "2 ** 23")
        )
    )
    assert {spec_of(s, "x").shape[0] for s in probed.varied} > {1}


WITH_X_TWICE = SOFTMAX.replace(
    "    def forward",
    "    def __init__(self):\n        super().__init__()\n        self.x = nn.Parameter(torch.ones(1))\n\n    def forward",
)
PLAIN = "import torch\ndef get_inputs():\n    return [torch.rand(3)]\n"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("x = 3\n", r"states no task: looked for 'class Model\(nn\.Module\)' .* found classes: none; functions: none"),
        (PLAIN, "states no task: .* functions: get_inputs"),
        (
            PLAIN + "def f(x):\n    return x\ndef g(x):\n    return x\n",
            r"several functions take the example inputs \(f, g\)",
        ),
        (PLAIN + "def f(x, y):\n    return x\ndef g():\n    return 1\n", "no function takes the example inputs"),
        (PLAIN + "def f(x, y):\n    return x\n", r"'f\(x, y\)' cannot take the example inputs: missing .*'y'"),
        (PLAIN + "def f(x):\n    raise ValueError('odd')\n", r"fails when called \(line 5\): ValueError: odd"),
        (PLAIN.replace("[torch.rand(3)]", "[3]") + "def f(x):\n    return x\n", "no tensor inputs"),
        (PLAIN.replace("[torch.rand(3)]", "3") + "def f(x):\n    return x\n", "get_inputs gives int where a list"),
        (PLAIN.replace("[torch.rand(3)]", "[[torch.rand(3)]]") + "def f(x):\n    return x[0]\n", "a list of tensors"),
        (PLAIN + "def f(x):\n    return torch.dropout(x, 0.5, True)\n", "is random"),
        (PLAIN + "def f(x):\n    return x.to(torch.complex64)\n", "element type complex64"),
        (PLAIN + "raise SystemExit(1)\n", "when its file is executed .*SystemExit: 1"),
        (WITH_X_TWICE, "an input and a parameter or buffer are both called 'x'"),
        (PLAIN + "class A(torch.nn.Module): pass\nclass B(torch.nn.Module): pass\n", "several nn.Module classes"),
    ],
)
def test_what_is_not_a_task_is_one_sentence(source, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        probe(source)
    assert "\n" not in str(caught.value)


@given(
    defaults=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 1 << 16), min_size=1),
    divisor=st.integers(1, 12),
)
def test_every_chosen_size_runs_and_fits(defaults, divisor):
    first = min(defaults)
    defaults = {name: size * divisor if name == first else size for name, size in defaults.items()}

    def attempt(sizes):
        elements = 1
        for size in sizes.values():
            elements *= size
        return Trial(sizes[first] % divisor == 0, elements)

    for sizes in SizeSearch(defaults, attempt).varied():
        assert sizes.keys() == defaults.keys()
        assert attempt(sizes).runs
        assert attempt(sizes).elements <= MOST_ELEMENTS


def test_sizes_that_change_only_together_and_are_too_large_to_draw_are_studied_at_smaller_ones():
    source = (
        "import torch\nrows = 40000\nshape = (40000,)\n\ndef op(x, y):\n    return torch.relu(x * y).sum(0)\n\n"
        "def get_inputs():\n    return [torch.rand(rows, *shape), torch.rand(rows)]\n"
    )
    probed = probe(source)
    assert [axis.name for axis in probed.axes] == ["x_dim0", "x_dim1"]
    assert all(probed_at.inputs[0].shape[1] == probed_at.inputs[1].shape[0] for probed_at in probed.varied)
