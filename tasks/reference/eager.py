"""Records which operators eager PyTorch launches, and what each moves and computes."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_flop

from tasks.values import EagerOp, Value

_TABLE = Path(__file__).with_name("flops.toml")
_CPU_ATTENTION = "aten::_scaled_dot_product_flash_attention_for_cpu"


class _Per(StrEnum):
    OUTPUT = "output"
    INPUT = "input"
    SELECTED = "selected"


class _Cost(Value):
    """One row of the table of costs."""

    per: _Per = _Per.OUTPUT
    """What the count is multiplied by."""
    flops: int = Field(default=1, ge=0)
    """Floating-point operations per element."""
    unread: tuple[int, ...] = ()
    """Positions of tensor arguments whose values are not read."""


class _Free(Value):
    ops: frozenset[str]
    """Operators that launch nothing."""


class _Costs(Value):
    """The file `flops.toml`."""

    ops: dict[str, _Cost]
    """Operator name to its cost."""
    free: _Free
    """Operators without one."""


Options = Mapping[str, Any] | None
"""Keyword arguments as PyTorch's dispatcher passes them."""


class Recorder(TorchDispatchMode):  # type: ignore[misc] # torch is untyped here
    """Appends to `ops` one entry per operator inside the block that would launch a kernel."""

    def __init__(self, ops: list[EagerOp]) -> None:
        super().__init__()
        self._ops = ops

    def __torch_dispatch__(
        self, func: OpOverload, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Options = None
    ) -> object:
        options = dict(kwargs or {})
        results = func(*args, **options)
        if not is_free(func):
            self._ops.append(described(func, args, options, results))
        return results


class Arguments(TorchDispatchMode):  # type: ignore[misc] # torch is untyped here
    """Notes which tensors the operators inside the block are given, told by where their memory begins.

    Attributes
    ----------
    names
        Names of the tensors that were seen.
    """

    def __init__(self, places: Mapping[int, str]) -> None:
        super().__init__()
        self._places = places
        self.names: set[str] = set()

    def __torch_dispatch__(
        self, func: OpOverload, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Options = None
    ) -> object:
        options = dict(kwargs or {})
        self.names.update(self._places[t.data_ptr()] for t in _tensors([args, options]) if t.data_ptr() in self._places)
        return func(*args, **options)


def is_free(func: OpOverload) -> bool:
    """Tell whether an operator launches nothing: a view, metadata, an allocation."""
    return bool(func.is_view) or func.namespace == "prim" or _name(func) in _costs().free.ops


def described(func: OpOverload, args: tuple[Any, ...], options: dict[str, Any], results: object) -> EagerOp:
    """Return what an operator moves and computes, from its arguments and results."""
    given, made = _tensors([args, options]), _tensors(results)
    cost = _costs().ops.get(_name(func), _Cost())
    elements = made[0].numel() if made else 0
    read = {id(t): _bytes(t) for position, t in enumerate(given) if position not in cost.unread}
    if cost.per is _Per.SELECTED and given:
        indices = [t.numel() for t in given[1:] if not t.is_floating_point()]
        elements = max(elements, *indices, 0)
        read[id(given[0])] = min(read[id(given[0])], elements * given[0].element_size())
    if cost.per is _Per.INPUT and given:
        elements = given[0].numel()
    known = _matrix_flops(func, args, options, results)
    return EagerOp(
        name=_name(func),
        shapes=tuple(tuple(t.shape) for t in given),
        bytes_read=sum(read.values()),
        bytes_written=sum(_bytes(t) for t in made),
        flops=cost.flops * elements if known is None else known,
    )


def _matrix_flops(func: OpOverload, args: tuple[Any, ...], options: dict[str, Any], results: object) -> int | None:
    """Return the operations of matrix products, convolutions and attention, by PyTorch's own counter."""
    if _name(func) == _CPU_ATTENTION:  # the counter knows only the operators of the other devices
        return int(sdpa_flop(*(t.shape for t in args[:3])))
    counter = flop_registry.get(func.overloadpacket)
    return None if counter is None else int(counter(*args, **options, out_val=results))


def _tensors(values: object) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]


def _bytes(tensor: torch.Tensor) -> int:
    """Return the bytes behind `tensor`: an expanded one stores fewer elements than it shows."""
    stored = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        stored *= size if stride else 1
    return stored * tensor.element_size() if tensor.numel() else 0


def _name(func: OpOverload) -> str:
    return str(func.name()).split(".", maxsplit=1)[0]


@cache
def _costs() -> _Costs:
    return _Costs.model_validate(tomllib.loads(_TABLE.read_text(encoding="utf-8")))
