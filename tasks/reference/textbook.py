"""Functions that PyTorch computes so that small results keep all their digits, as a textbook writes them.

`expm1(x)` is right to the last digit near 0, `exp(x) - 1` to the last digit of 1. Most kernels are written the second
way, and honestly so: what is lost is less than a rounding of the numbers beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

Formula = Callable[..., torch.Tensor]


def _expm1(x: torch.Tensor) -> torch.Tensor:
    return torch.exp(x) - 1


def _log1p(x: torch.Tensor) -> torch.Tensor:
    return torch.log(1 + x)


def _elu(x: torch.Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> torch.Tensor:
    return torch.where(x > 0, x * scale, _expm1(x * input_scale) * (alpha * scale))


def _celu(x: torch.Tensor, alpha: float = 1) -> torch.Tensor:
    return _elu(x, alpha, 1, 1 / alpha)


def _tanh(x: torch.Tensor) -> torch.Tensor:
    return 1 - 2 / (torch.exp(2 * x) + 1)


def _sinh(x: torch.Tensor) -> torch.Tensor:
    return (torch.exp(x) - torch.exp(-x)) / 2


def _asinh(x: torch.Tensor) -> torch.Tensor:
    return torch.sign(x) * torch.log(x.abs() + torch.sqrt(x * x + 1))


def _atanh(x: torch.Tensor) -> torch.Tensor:
    return torch.log((1 + x) / (1 - x)) / 2


def _softplus(x: torch.Tensor, beta: float = 1, threshold: float = 20) -> torch.Tensor:
    return torch.where(x * beta > threshold, x, _log1p(torch.exp(x * beta)) / beta)


def _mish(x: torch.Tensor) -> torch.Tensor:
    return x * _tanh(_softplus(x))


def _logaddexp(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.maximum(x, y) + _log1p(torch.exp(-(x - y).abs()))


def _log_sigmoid(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(max=0) - _log1p(torch.exp(-x.abs()))


_FORMULAS: Mapping[str, Formula] = {
    "aten::expm1": _expm1,
    "aten::log1p": _log1p,
    "aten::elu": _elu,
    "aten::celu": _celu,
    "aten::tanh": _tanh,
    "aten::sinh": _sinh,
    "aten::asinh": _asinh,
    "aten::atanh": _atanh,
    "aten::softplus": _softplus,
    "aten::mish": _mish,
    "aten::logaddexp": _logaddexp,
    "aten::log_sigmoid_forward": _log_sigmoid,
}


class Textbook(TorchDispatchMode):  # type: ignore[misc] # torch is untyped here
    """Computes these functions by `exp` and `log`, in float32 at least, as kernels do."""

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        formula = _FORMULAS.get(func._schema.name.removesuffix("_"))  # noqa: SLF001 - the name below overloads
        # An operator that works in place changes what the formula reads.
        written = _written(formula, args, kwargs or {}) if formula else None
        results = func(*args, **(kwargs or {}))
        if written is not None:
            first = results[0] if isinstance(results, tuple) else results
            first.copy_(written)
        return results


def _written(formula: Formula, args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.Tensor | None:
    """Return what a formula gives, in float32 at least; None for integers, which the operator converts by itself."""
    if not all(arg.is_floating_point() for arg in args if isinstance(arg, torch.Tensor)):
        return None
    wide = [
        arg.to(torch.promote_types(arg.dtype, torch.float32)) if isinstance(arg, torch.Tensor) else arg for arg in args
    ]
    return formula(*wide, **{name: value for name, value in kwargs.items() if name != "out"})
