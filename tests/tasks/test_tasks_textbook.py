"""The usual formulas are those of PyTorch's functions, and are in use wherever a reference calls one of these."""

import pytest
import torch
from torch import nn

from tasks.reference.precision import running_in
from tasks.values import Precision

F = nn.functional
FUNCTIONS = {
    "expm1": torch.expm1,
    "log1p": lambda x: torch.log1p(x.abs()),
    "elu": lambda x: F.elu(x, alpha=0.7),
    "selu": F.selu,
    "celu": lambda x: F.celu(x, alpha=1.3),
    "elu_in_place": lambda x: F.elu_(x * 1),
    "tanh": torch.tanh,
    "tanhshrink": F.tanhshrink,
    "sinh": torch.sinh,
    "asinh": torch.asinh,
    "atanh": lambda x: torch.atanh(0.9 * torch.sin(x)),
    "softplus": lambda x: F.softplus(x, beta=2, threshold=15),
    "mish": F.mish,
    "logaddexp": lambda x: torch.logaddexp(x, -x),
    "log_sigmoid": F.logsigmoid,
}


def run(function, x, precision):
    with running_in(precision):
        return function(x)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_formula_is_its_function_but_for_roundings(name, dtype):
    x = 3 * torch.randn(4000, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(dtype)
    usual, exact = (run(FUNCTIONS[name], x.clone(), one) for one in (Precision.TEXTBOOK, Precision.NATIVE))
    assert usual.dtype is dtype
    room = 32 * torch.finfo(dtype).eps
    torch.testing.assert_close(usual, exact, rtol=room, atol=room)


@pytest.mark.parametrize("name", ["expm1", "log1p", "elu", "selu", "celu", "tanh", "sinh", "asinh"])
def test_a_formula_loses_what_the_function_keeps(name):
    x = -torch.rand(1000, generator=torch.Generator().manual_seed(2)) * 1e-5
    usual, exact = (run(FUNCTIONS[name], x.clone(), one) for one in (Precision.TEXTBOOK, Precision.NATIVE))
    assert (usual / exact - 1).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["tanh", "elu", "softplus", "mish", "log_sigmoid"])
def test_extremes_stay_what_they_are(name):
    x = torch.tensor([-300.0, -90.0, 0.0, 90.0, 300.0])
    usual, exact = (run(FUNCTIONS[name], x.clone(), one) for one in (Precision.TEXTBOOK, Precision.NATIVE))
    torch.testing.assert_close(usual, exact)


def test_gradients_are_taken_through_the_formula():
    x = torch.randn(50, generator=torch.Generator().manual_seed(2), requires_grad=True)
    with running_in(Precision.TEXTBOOK):
        F.mish(torch.tanh(x)).sum().backward()
    usual, x.grad = x.grad, None
    F.mish(torch.tanh(x)).sum().backward()
    torch.testing.assert_close(usual, x.grad)


def test_integers_are_left_to_the_operator():
    whole = torch.arange(4)
    assert torch.equal(run(torch.tanh, whole, Precision.TEXTBOOK), torch.tanh(whole))
