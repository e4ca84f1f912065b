"""Running a reference: precisions, gradients, operators, and its faults as sentences."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import UserError
from tasks.reference import Reference
from tasks.reference.precision import round_mantissa
from tasks.reference.source import execute
from tasks.values import DType, Precision, ReferenceForm, Role

NORM = """
import torch
from torch import nn

rows = 6
cols = 2 * 5
hidden = 3 * cols


class Model(nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.linear = nn.Linear(cols, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.drop = nn.Dropout(0.5)

    def forward(self, x, eps=1e-5):
        y = self.drop(self.norm(self.linear(x)))
        first, second, third = y.float().split(cols, dim=1)
        first = first.clone()
        first += second
        return torch.softmax(first, -1) + eps, third.argmax(-1)


def get_inputs():
    return [torch.rand(rows, cols)]


def get_init_inputs():
    return [cols]
"""


def norm(**axes: int) -> Reference:
    return Reference(NORM, ReferenceForm.MODULE, "Model", axes)


def function(body: str, inputs: str = "[torch.rand(4, 3)]") -> Reference:
    source = f"import torch\ndef op(x):\n    {body}\ndef get_inputs():\n    return {inputs}\n"
    return Reference(source, ReferenceForm.FUNCTION, "op", {})


def test_specs_follow_the_axes_and_what_derives_from_them():
    specs = norm(cols=7).specs()
    assert [(s.name, s.shape, s.role) for s in specs[:3]] == [
        ("x", (6, 7), Role.INPUT),
        ("linear.weight", (21, 7), Role.PARAMETER),
        ("linear.bias", (21,), Role.PARAMETER),
    ]
    assert (specs[-1].name, specs[-1].dtype, specs[-1].role) == ("norm.num_batches_tracked", DType.INT64, Role.BUFFER)


def test_oracle_is_float64_throughout_even_where_the_source_casts():
    reference = norm()
    given_tensors = reference.examples()
    native, oracle = (reference.forward(given_tensors, p)[0] for p in (Precision.NATIVE, Precision.ORACLE))
    assert (native.dtype, oracle.dtype) == (torch.float32, torch.float64)
    assert not torch.equal(oracle, oracle.float().double())
    torch.testing.assert_close(native.double(), oracle, atol=1e-6, rtol=1e-6)


def test_lower_precision_errs_like_bfloat16_and_keeps_the_type():
    reference = norm()
    given_tensors = reference.examples()
    lower, oracle = (reference.forward(given_tensors, p)[0] for p in (Precision.LOWER, Precision.ORACLE))
    assert lower.dtype is torch.float32
    error = (lower - oracle).abs().max().item()
    assert 1e-4 < error < 1e-1


def test_precision_leaves_no_trace_behind():
    reference = norm()
    tensors = reference.examples()
    before = reference.forward(tensors, Precision.NATIVE)
    reference.forward(tensors, Precision.ORACLE)
    reference.forward(tensors, Precision.LOWER)
    assert torch.get_default_dtype() is torch.float32
    assert torch.equal(reference.forward(tensors, Precision.NATIVE)[0], before[0])
    assert norm().forward(tensors, Precision.ORACLE)[0].dtype is torch.float64


def test_tensors_are_never_changed_by_a_reference_that_works_in_place():
    reference = function("return x.mul_(2)")
    x = torch.ones(4, 3)
    scattered = reference.forward({"x": x}, Precision.SCATTERED)[0]
    assert scattered.min() > 1.0 - 1e-9
    assert scattered.std() > 0.1
    for precision in set(Precision) - {Precision.SCATTERED}:
        assert torch.equal(reference.forward({"x": x}, precision)[0].float(), torch.full((4, 3), 2.0))
    assert torch.equal(x, torch.ones(4, 3))


@pytest.mark.parametrize(
    ("dtype", "bits"), [(torch.float32, 7), (torch.float64, 23), (torch.float16, 7), (torch.bfloat16, 3)]
)
def test_lower_precision_rounds_each_type_to_its_neighbour(dtype, bits):
    reference = function("return x * 1", f"[torch.rand(4, 3, dtype={dtype})]")
    x = torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(dtype)
    (result,) = reference.forward({"x": x}, Precision.LOWER)
    assert result.dtype is dtype
    assert torch.equal(result, round_mantissa(x, bits))
    assert not torch.equal(result, x)


@given(st.floats(width=32))
def test_rounding_to_seven_bits_is_bfloat16(value):
    x = torch.tensor([value])
    expected = x.bfloat16().float()
    if abs(value) < 2**-126 or expected.isinf().any():  # the range stays that of float32
        return
    assert torch.equal(round_mantissa(x, 7).nan_to_num(), expected.nan_to_num())


@pytest.mark.parametrize("shape", [(2, 3_000_001), (5_000_000,), (1, 2100, 2, 1001)])
def test_large_tensors_are_rounded_like_small_ones(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).transpose(0, -1)
    rounded = round_mantissa(x, 7)
    assert torch.equal(rounded, x.bfloat16().float())
    assert rounded.stride() == x.stride()


def test_gradients_are_autograds_and_saved_tensors_are_native():
    reference = function("return torch.softmax(x, -1)")
    x, upstream = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    result = reference.backward({"x": x}, [upstream], ["output", "output.0", "x"], ["x"], Precision.ORACLE)
    y = torch.softmax(x.double(), -1)
    torch.testing.assert_close(result.gradients[0], y * (upstream - (y * upstream).sum(-1, keepdim=True)))
    assert torch.equal(result.saved[0], torch.softmax(x, -1))
    assert torch.equal(result.saved[0], result.saved[1])
    assert torch.equal(result.saved[2], x)
    lower = reference.backward({"x": x}, [upstream], [], ["x"], Precision.LOWER).gradients[0]
    assert lower.dtype is torch.float32
    assert not torch.allclose(lower.double(), result.gradients[0], atol=1e-5)


def test_gradients_reach_parameters_and_skip_integer_results():
    reference = norm()
    tensors = reference.examples()
    result = reference.backward(tensors, [torch.ones(6, 10)], ["output.1"], ["linear.weight", "x"], Precision.NATIVE)
    assert [tuple(g.shape) for g in result.gradients] == [(30, 10), (6, 10)]
    assert result.saved[0].dtype is torch.int64


@pytest.mark.parametrize(
    ("body", "saved", "gradients", "problem"),
    [
        ("return x * 2", ["output.1"], ["x"], r"saves 'output\.1', which is neither"),
        ("return x * 2", [], ["y"], "gradient of 'y', which is no floating tensor"),
        ("return x.detach() * torch.ones(1, requires_grad=True)", [], ["x"], "do not depend on 'x'"),
        ("return x * 2, x * 3", [], ["x"], "2 floating results"),
    ],
)
def test_what_backward_cannot_give_is_one_sentence(body, saved, gradients, problem):
    reference, x = function(body), torch.rand(4, 3)
    with pytest.raises(UserError, match=problem):
        reference.backward({"x": x}, [torch.ones(4, 3)], saved, gradients, Precision.NATIVE)


def test_what_is_timed_of_eager_is_the_forward_or_the_backward_alone_again_and_again():
    reference = norm()
    tensors = reference.examples()
    forward = reference.eager_call(tensors)
    for _ in range(3):
        outputs = forward()
        assert not outputs[0].requires_grad
        assert torch.equal(outputs[0], reference.forward(tensors, Precision.NATIVE)[0])
    upstream, names = torch.ones(6, 10), ["linear.weight", "x"]
    backward = reference.eager_call(tensors, [upstream], names)
    expected = reference.backward(tensors, [upstream], [], names, Precision.NATIVE).gradients
    for _ in range(3):
        assert all(torch.equal(a, b) for a, b in zip(backward(), expected, strict=True))
    with pytest.raises(UserError, match="gradient of 'y'"):
        reference.eager_call(tensors, [upstream], ["y"])


def test_missing_and_unknown_tensors_are_named():
    reference = norm()
    tensors = reference.examples()
    with pytest.raises(UserError, match=r"also needs the tensors linear\.weight, x"):
        reference.forward({n: t for n, t in tensors.items() if n not in {"x", "linear.weight"}}, Precision.NATIVE)
    with pytest.raises(UserError, match="no tensors named y"):
        reference.forward({**tensors, "y": torch.ones(1)}, Precision.NATIVE)


def test_a_buffer_that_is_left_out_keeps_its_constructed_value():
    reference = norm()
    tensors = reference.examples()
    shorter = {name: tensor for name, tensor in tensors.items() if not name.startswith("norm.running")}
    for precision in Precision:
        assert torch.equal(reference.forward(shorter, precision)[0], reference.forward(tensors, precision)[0])


def test_the_references_own_error_has_its_line():
    with pytest.raises(UserError, match=r"fails when called \(line 3\): RuntimeError: .*"):
        function("return x @ x").forward({"x": torch.rand(4, 3)}, Precision.NATIVE)
    with pytest.raises(UserError, match=r"when its file is executed \(line 2\): ZeroDivisionError"):
        Reference("x = 0\ny = 1 / x\n", ReferenceForm.FUNCTION, "op", {})


@pytest.mark.parametrize(
    ("body", "problem"), [("return x.sum().item()", "returns a float"), ("return {'y': x}", "returns a dict")]
)
def test_results_are_tensors(body, problem):
    with pytest.raises(UserError, match=problem):
        function(body).forward({"x": torch.rand(4, 3)}, Precision.NATIVE)


def test_eager_ops_count_bytes_and_operations_of_a_matrix_product():
    shaped = {"x": torch.empty(64, 32, device="meta")}
    source = "import torch\nfrom torch.nn.functional import gelu\n"
    body = source + "def op(x):\n    return gelu(x @ x.t())\ndef get_inputs():\n    return [torch.rand(8, 4)]\n"
    product, activation = Reference(body, ReferenceForm.FUNCTION, "op", {}).eager_ops(shaped)
    assert (product.name, product.shapes, product.flops) == ("aten::mm", ((64, 32), (32, 64)), 2 * 64 * 64 * 32)
    assert (product.bytes_read, product.bytes_written) == (2 * 64 * 32 * 4, 64 * 64 * 4)
    assert (activation.bytes_read, activation.bytes_written, activation.flops) == (16384, 16384, 10 * 4096)


def test_eager_ops_leave_views_out_and_read_only_what_an_index_selects():
    reference = function("return x[0].view(3, 1).expand(3, 9).contiguous()")
    (copy,) = reference.eager_ops({"x": torch.empty(4, 3, device="meta")})
    assert (copy.name, copy.bytes_read, copy.bytes_written, copy.flops) == ("aten::clone", 3 * 4, 27 * 4, 0)
    gathered = function("return torch.nn.functional.embedding(torch.tensor([1, 2]), x)")
    names = {op.name: op for op in gathered.eager_ops({"x": torch.empty(1000, 8, device="meta")})}
    assert names["aten::embedding"].bytes_read == 2 * 8 * 4 + 2 * 8


def test_eager_ops_of_a_value_dependent_op_need_values():
    reference = function("return x * 2 if x.sum() > 0 else x")
    assert [op.name for op in reference.eager_ops({"x": torch.ones(4, 3)})][-1] == "aten::mul"
    with pytest.raises(UserError, match="fails when called"):
        reference.eager_ops({"x": torch.empty(4, 3, device="meta")})


def test_output_shapes_compute_nothing():
    shaped = {"x": torch.empty(1 << 20, 1 << 20, device="meta")}
    assert function("return x.sum(0), x > 0").output_shapes(shaped) == (
        (DType.FLOAT32, (1 << 20,)),
        (DType.BOOL, (1 << 20, 1 << 20)),
    )


def test_a_model_that_keeps_a_state_starts_every_call_alike():
    source = (
        "import torch\nfrom torch import nn\n\nclass Model(nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.hidden = torch.zeros(3)\n\n    def forward(self, x):\n"
        "        self.hidden = self.hidden + x\n        return self.hidden\n\n"
        "def get_inputs():\n    return [torch.rand(3)]\n"
    )
    kept = Reference(source, ReferenceForm.MODULE, "Model", {})
    tensors = {"x": torch.ones(3)}
    for precision, dtype in ((Precision.ORACLE, torch.float64), (Precision.NATIVE, torch.float32)):
        for _ in range(2):
            (result,) = kept.forward(tensors, precision)
            assert torch.equal(result, torch.ones(3, dtype=dtype))


CARD = """
import torch

name = "for cuda"


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3, device="cuda"))

    def forward(self, x, device="cuda:0"):
        return x * self.weight + torch.ones(3, device=torch.device(device)).cuda(0, non_blocking=True)


def get_inputs():
    return [torch.rand(2, 3).cuda()]
"""


def test_a_card_that_a_source_names_is_the_cpu():
    reference = Reference(CARD, ReferenceForm.MODULE, "Model", {})
    (result,) = reference.forward(reference.examples(), Precision.NATIVE)
    assert torch.equal(result, reference.examples()["x"] + 1)
    assert execute(CARD, {}).name == "for cuda"


def test_a_card_that_a_source_names_stays_where_tensors_are_made_elsewhere():
    with torch.device("meta"):
        model = execute(CARD, {}).Model
    assert model.forward.__defaults__ == ("cuda:0",)
