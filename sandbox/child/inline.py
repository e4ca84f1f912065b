"""Inline extensions of a candidate on a simulated card, called through TVM FFI with the card's own tensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import tvm_ffi

from sandbox.child.card import Card
from sandbox.child.card_runtime import CardRuntime
from sandbox.child.dlpack import CUDA, dtype_of
from sandbox.child.extension_loader import ExtensionLoader
from sandbox.child.host import CardLog
from sandbox.child.library import load_entry
from sandbox.child.link import ParentLink
from sandbox.child.torch_card import CardTensor, TorchCard
from simgpu import LaunchOptions
from tasks.values import DType


class InlineExtensions:
    """The extensions of one candidate.

    Parameters
    ----------
    card, torch_card
        The card, and PyTorch's view of it.
    standin
        The compiled stand-in runtime.
    link
        Has extensions built.
    """

    def __init__(self, card: Card, torch_card: TorchCard, standin: Path, link: ParentLink) -> None:
        self._torch = torch_card
        self._loader = ExtensionLoader(link, self._callable)
        # First, so that the libraries find it in place of the real runtime.
        self._runtime = CardRuntime(card, standin)

    def take_over(self) -> None:
        """Make PyTorch's functions build here."""
        self._loader.take_over()

    def begin(self, options: LaunchOptions) -> None:
        """Forget the last call; launches run under these options from now on."""
        self._runtime.begin(options)

    def log(self) -> CardLog:
        """Return what the card saw of the extensions since `begin`."""
        self._runtime.end()
        return self._runtime.log()

    def _callable(self, library: Path, function: str) -> Callable[..., Any]:
        entry = load_entry(library, function)

        def call(*arguments: Any) -> Any:  # noqa: ANN401 -- what the host function takes and returns
            return self._back(entry(*map(self._across, arguments)))

        return call

    def _across(self, value: Any) -> Any:  # noqa: ANN401 -- any argument of a host function
        if isinstance(value, CardTensor):
            dtype = DType(str(value.dtype).removeprefix("torch."))
            return self._runtime.factory.borrowed(
                value.data_ptr(), dtype, tuple(value.shape), tuple(value.stride()), value
            )
        if isinstance(value, torch.Tensor):
            raise TypeError("an extension was given a CPU tensor; on a simulated card it takes CUDA tensors")
        return value

    def _back(self, value: Any) -> Any:  # noqa: ANN401 -- any result of a host function
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if not isinstance(value, tvm_ffi.Tensor):
            return [self._back(item) for item in value]
        if value.__dlpack_device__()[0] != CUDA:
            raise TypeError("an extension returned a tensor that is not on the GPU")
        kind = dtype_of(value.dtype.type_code, value.dtype.bits, value.dtype.lanes)
        dtype: torch.dtype = getattr(torch, kind.value)
        shape, strides = tuple(value.shape), tuple(value.strides)
        if 0 in shape:
            return self._torch.place(torch.empty(shape, dtype=dtype), "empty")
        return self._torch.over(value.data_ptr(), dtype, shape, strides, owner=value)
