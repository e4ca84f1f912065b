"""Runs a reference in another precision than it states, without touching its source.

All of them work below PyTorch's dispatcher, so that they hold for every operator, also for those of the
backward pass, and for casts that the source writes out (`x.float()`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from tasks.reference.textbook import Textbook
from tasks.values import Precision

_NARROW = frozenset({torch.float32, torch.float16, torch.bfloat16})
_WIDE = frozenset({Precision.ORACLE, Precision.SCATTERED})
_LOWER_MANTISSA = {
    torch.float64: 23,  # that of float32
    torch.float32: 7,  # that of bfloat16
    torch.float16: 7,  # that of bfloat16
    torch.bfloat16: 3,  # that of float8 e4m3
}
_SCATTERING_SEED = 20
"""Of the factors of a scattered run: what it tells is a size, so any seed will do, and the same run gives the same."""

_PIECE = 1 << 22
"""Elements that are rounded at a time: on the way, each takes ten times the bytes that it has itself."""

Change = Callable[[torch.Tensor], torch.Tensor]
"""What becomes of an operator's floating result."""


def convert(tensor: torch.Tensor, precision: Precision) -> torch.Tensor:
    """Return a copy of `tensor` as the reference reads it in `precision`; integers and booleans stay as they are."""
    if tensor.dtype in _NARROW and precision in _WIDE:
        return tensor.to(torch.float64)
    if tensor.dtype in _LOWER_MANTISSA and precision is Precision.LOWER:
        return round_mantissa(tensor, _LOWER_MANTISSA[tensor.dtype])
    return tensor.clone()


@contextmanager
def running_in(precision: Precision) -> Iterator[None]:
    """Make every operator inside the block compute in `precision`.

    `ORACLE`: tensors that the source creates, and casts to a narrower floating type, give float64. `LOWER`: after
    each operator its floating results are rounded to the mantissa of the next lower type (float64 to float32's,
    float32 and float16 to bfloat16's, bfloat16 to that of float8 e4m3), which is what kernels of that type do; the
    element types stay those of the task, so that whatever runs natively also runs here. `SCATTERED`: as `ORACLE`, and
    each operator's floating results are multiplied by random numbers between 1/2 and 3/2, one for each element, so
    that sums which cancel on these values do so no more, and what is left has the size of what was summed.
    """
    default = torch.get_default_dtype()
    try:
        with ExitStack() as modes:
            if precision in _WIDE:
                torch.set_default_dtype(torch.float64)
                modes.enter_context(_Promote())
            if precision is Precision.LOWER:
                modes.enter_context(_Change(_lowered))
            if precision is Precision.TEXTBOOK:
                modes.enter_context(Textbook())
            if precision is Precision.SCATTERED:
                modes.enter_context(_Change(_scattering()))
            yield
    finally:
        torch.set_default_dtype(default)


def _lowered(tensor: torch.Tensor) -> torch.Tensor:
    return round_mantissa(tensor, _LOWER_MANTISSA[tensor.dtype])


def _scattering() -> Change:
    generator = torch.Generator().manual_seed(_SCATTERING_SEED)

    def scattered(tensor: torch.Tensor) -> torch.Tensor:
        factors = torch.rand(tensor.shape, generator=generator, dtype=torch.float64) + 0.5
        return (tensor * factors).to(tensor.dtype)

    return scattered


def round_mantissa(tensor: torch.Tensor, bits: int) -> torch.Tensor:
    """Round to `bits` explicit mantissa bits, to nearest and ties to even; range and element type stay."""
    if tensor.numel() <= _PIECE:
        return _rounded(tensor, bits)
    longest = max(range(tensor.dim()), key=tensor.shape.__getitem__)
    length = max(1, _PIECE * tensor.shape[longest] // tensor.numel())
    rounded = torch.empty_like(tensor)
    for target, piece in zip(rounded.split(length, longest), tensor.split(length, longest), strict=True):
        target.copy_(_rounded(piece, bits))
    return rounded


def _rounded(tensor: torch.Tensor, bits: int) -> torch.Tensor:
    wide = tensor.to(torch.float64)
    fraction, exponent = torch.frexp(wide)
    steps = torch.round(fraction * 2.0 ** (bits + 1))
    rounded = torch.ldexp(steps, exponent - (bits + 1))
    return torch.where(torch.isfinite(wide), rounded, wide).to(tensor.dtype)


class _Promote(TorchDispatchMode):  # type: ignore[misc] # torch is untyped here
    """Widens every floating element type that an operator is asked to produce."""

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        options = dict(kwargs or {})
        if options.get("dtype") in _NARROW:
            options["dtype"] = torch.float64
        return func(*args, **options)


class _Change(TorchDispatchMode):  # type: ignore[misc] # torch is untyped here
    """Changes the floating results of every operator; views alias values that are changed already."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        self._change = change

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        results = func(*args, **(kwargs or {}))
        returns = func._schema.returns  # noqa: SLF001 - the only place that tells views from new tensors
        if len(returns) == 1:
            return tree_map(lambda result: self._changed(result, returns[0]), results)
        if not returns:
            return results
        return tuple(self._changed(result, returned) for result, returned in zip(results, returns, strict=True))

    def _changed(self, result: object, returned: torch.Argument) -> object:
        if not isinstance(result, torch.Tensor) or result.dtype not in _LOWER_MANTISSA:
            return result
        alias = returned.alias_info
        if alias is None:
            return self._change(result)
        if alias.is_write:
            result.copy_(self._change(result))
        return result
