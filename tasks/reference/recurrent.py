"""Shapes of recurrent layers without their steps: on shapes alone, thousands of them tell nothing more than one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_PLAIN = frozenset({"gru", "rnn_tanh", "rnn_relu"})
_WITH_CELL = frozenset({"lstm"})
_PADDED_ARGUMENTS = 9


class RecurrentShapes(TorchFunctionMode):  # type: ignore[misc] # torch is untyped here
    """Answers a recurrent layer inside the block with tensors of the right sizes; packed sequences run as always.

    The layer's module has checked the sizes of its input and state by then.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        name = getattr(func, "__name__", "")
        if name not in _PLAIN | _WITH_CELL or len(args) != _PADDED_ARGUMENTS or not isinstance(args[3], bool):
            return func(*args, **(kwargs or {}))
        states = tuple(args[1]) if name in _WITH_CELL else (args[1],)
        directions = 2 if args[7] else 1
        sizes = (*args[0].shape[:-1], states[0].shape[-1] * directions)
        return (args[0].new_empty(sizes), *(torch.empty_like(state) for state in states))
