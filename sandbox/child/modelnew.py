"""The host side of a `modelnew` candidate: `ModelNew` constructed as the task's model is, given its state, called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sandbox.child.host import CardLog, HostError, HostRun
from sandbox.child.inline import InlineExtensions
from sandbox.child.python_host import PythonHost
from sandbox.child.torch_card import CardTensor
from sandbox.values import MODEL_CLASS, Tensor
from simgpu import LaunchOptions
from tasks.values import Construction


class ModelNewHost:
    """A module with `class ModelNew` on a simulated card.

    A new model is constructed for every call: what one call leaves in it never reaches the next.

    Parameters
    ----------
    host
        What imports and calls.
    extensions
        What builds inline CUDA.
    """

    def __init__(self, host: PythonHost, extensions: InlineExtensions) -> None:
        self._host = host
        self._extensions = extensions
        self._construction: Construction | None = None
        extensions.take_over()
        model = getattr(host.load(), MODEL_CLASS, None)
        if not (isinstance(model, type) and issubclass(model, torch.nn.Module)):
            raise HostError(f"the file defines no `class {MODEL_CLASS}(nn.Module)`")
        self._model = model

    def construct_like(self, construction: Construction | None) -> None:
        """Take this construction for the next call."""
        self._construction = construction

    def run(self, arguments: Sequence[Tensor], options: LaunchOptions) -> HostRun:
        """Construct the model outside the record of the call, load its state, call it."""
        if self._construction is None:
            return HostRun(error=HostError(f"{MODEL_CLASS} cannot be called: nothing says how it is constructed"))
        self._extensions.begin(options)
        made: list[torch.nn.Module] = []
        construction = self._construction

        def prepare(tensors: Sequence[CardTensor]) -> None:
            model = self._model(*construction.positional, **construction.named).eval()
            for parameter in model.parameters():
                parameter.requires_grad_(requires_grad=False)
            model.cuda()
            load_state(model, construction.state, tensors[len(construction.inputs) :])
            made.append(model)

        def entry(tensors: Sequence[CardTensor]) -> object:
            named = dict(zip(construction.inputs, tensors, strict=False))
            given: list[Any] = [named[one.tensor] if one.tensor else one.fixed for one in construction.call]
            return made[0](*given)

        return self._host.run(entry, arguments, options, prepare=prepare)

    def log(self) -> CardLog:
        """Return what the card saw of Triton's launches and of the extensions'."""
        own, other = self._host.log(), self._extensions.log()
        return CardLog(
            launches=(*own.launches, *other.launches),
            diagnostics=(*own.diagnostics, *other.diagnostics),
            refusals=(*own.refusals, *other.refusals),
            missing=(*own.missing, *other.missing),
            unjoined=own.unjoined + other.unjoined,
            microseconds=own.microseconds + other.microseconds,
            host_ops=own.host_ops,
            specialisations=own.specialisations,
        )


def load_state(model: torch.nn.Module, names: Sequence[str], tensors: Sequence[torch.Tensor]) -> None:
    """Give a model the task's parameters and buffers: by name, or in order where no name is shared.

    Raises
    ------
    HostError
        The model lacks one, has a parameter too many, or one of another shape.
    """
    own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    parameters = [name for name, _ in model.named_parameters()]
    if own.keys().isdisjoint(names) and len(own) == len(names):
        names = tuple(own)
    missing = [name for name in names if name not in own]
    extra = [name for name in parameters if name not in names]
    if missing or extra:
        has = ", ".join(own) or "none"
        wanted = ", ".join(names) or "none"
        raise HostError(f"{MODEL_CLASS} must have the model's parameters and buffers ({wanted}); it has {has}")
    for name, tensor in zip(names, tensors, strict=True):
        target = own[name]
        if tuple(target.shape) != tuple(tensor.shape) or target.dtype != tensor.dtype:
            raise HostError(
                f"{MODEL_CLASS}'s `{name}` is {target.dtype} {list(target.shape)}, the task's is {tensor.dtype}"
                f" {list(tensor.shape)}"
            )
        target.copy_(tensor)
