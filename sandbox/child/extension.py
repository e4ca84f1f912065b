"""The host side of a `cuda` candidate: a shared object whose entry is called through TVM FFI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tvm_ffi

from sandbox.child.card import Card
from sandbox.child.card_runtime import CardRuntime
from sandbox.child.dlpack import CUDA, UnknownElementTypeError, dtype_of
from sandbox.child.host import CardLog, HostError, HostRun
from sandbox.child.lateness import LateWrites
from sandbox.child.library import load_entry
from sandbox.child.program import LoadError
from sandbox.protocol import CandidateConfig
from sandbox.values import ExitState, Tensor
from simgpu import LaunchOptions

_TORCH_CUDA = b"libc10_cuda.so"


class ExtensionHost:
    """A loaded extension on a simulated card.

    Parameters
    ----------
    config
        Names the shared object and the entry.
    standin
        The compiled stand-in runtime.
    card
        Where its tensors live.
    """

    def __init__(self, config: CandidateConfig, standin: Path, card: Card) -> None:
        self._card = card
        # First, so that the candidate's library finds it in place of the real runtime.
        self._runtime = CardRuntime(card, standin)
        library = config.folder / (config.library or "")
        refuse_cuda_build(library)
        self._function = load_entry(library, config.entry)

    def run(self, arguments: Sequence[Tensor], options: LaunchOptions) -> HostRun:
        """Copy the arguments to new addresses, call the entry, copy the results back."""
        self._runtime.begin(options)
        late_writes = LateWrites()
        try:
            with self._card.shifted():
                placed = [self._card.put(tensor, f"argument {i}") for i, tensor in enumerate(arguments)]
            tensors = [
                self._runtime.factory.tensor(one.allocation, one.address, one.dtype, one.shape, one.strides)
                for one in placed
            ]
            results = _results(self._function(*tensors))
            outputs = tuple(map(self._read, results))
            late = late_writes.among(outputs, lambda: tuple(map(self._read, results)))
            after = tuple(map(self._card.read_back, placed))
        except Exception as error:  # noqa: BLE001 -- TVM FFI raises whatever class the host code names
            self._runtime.end()
            return HostRun(error=error)
        self._runtime.end()
        return HostRun(outputs=outputs, arguments_after=after, late=late)

    def log(self) -> CardLog:
        """Return what the card saw during the last run."""
        return self._runtime.log()

    def _read(self, result: tvm_ffi.Tensor) -> Tensor:
        if result.__dlpack_device__()[0] != CUDA:
            raise HostError("a result is not on the GPU")
        dtype = result.dtype
        try:
            known = dtype_of(dtype.type_code, dtype.bits, dtype.lanes)
        except UnknownElementTypeError as error:
            raise HostError(str(error)) from error
        strides = None if result.is_contiguous() else tuple(result.strides)
        return self._card.read(result.data_ptr(), known, tuple(result.shape), strides)


def refuse_cuda_build(library: Path) -> None:
    """Refuse a library that needs PyTorch's own CUDA libraries: they drive real GPUs.

    Raises
    ------
    LoadError
        It is linked to them, as extensions against the full headers of a build of PyTorch with CUDA are.
    """
    if _TORCH_CUDA in library.read_bytes():
        sentence = "it is linked to PyTorch's CUDA libraries, which need a real GPU; build it with light headers"
        raise LoadError(ExitState.UNSUPPORTED, sentence)


def _results(value: Any) -> tuple[tvm_ffi.Tensor, ...]:  # noqa: ANN401 -- TVM FFI gives any value
    values = (value,) if isinstance(value, tvm_ffi.Tensor) else tuple(value) if value is not None else ()
    if not values or not all(isinstance(item, tvm_ffi.Tensor) for item in values):
        raise HostError("the entry returned no tensor, or something beside tensors")
    return values
