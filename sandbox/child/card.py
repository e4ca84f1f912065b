"""One simulated card's memory, and tensors in it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from sandbox.child.host import HostError
from sandbox.layouts import Layout, dense_strides, extent, place
from sandbox.values import Tensor
from simgpu import DeviceMemory
from simgpu.specs import DeviceSpec
from tasks.values import DType

_ALIGNMENT = 256


@dataclass(frozen=True, slots=True)
class Placed:
    """A tensor in the card's memory."""

    allocation: int
    """Address of the memory that holds it; what is freed."""
    address: int
    """Address of its first element."""
    dtype: DType
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """In elements."""


class Card:
    """A card with its memory.

    Parameters
    ----------
    spec
        The card's figures.
    memory_bytes
        Capacity to provide.
    """

    def __init__(self, spec: DeviceSpec, memory_bytes: int) -> None:
        self.spec = spec
        self.memory = DeviceMemory(memory_bytes)

    def allocate(self, nbytes: int, label: str) -> int:
        """Return the address of new memory; an empty tensor has one too."""
        return self.memory.allocate(max(nbytes, 1), label)

    def put(self, tensor: Tensor, label: str) -> Placed:
        """Copy a tensor into memory: new, or that of a freed tensor of its size, at even chances.

        So a result that was kept by its argument's address is asked for again with other values. Bytes that its layout
        leaves out stay unwritten, so that a kernel which reads them is told.
        """
        placement = place(tensor.shape, tensor.layout)
        nbytes = placement.elements * tensor.dtype.itemsize
        allocation = self.memory.revive(nbytes, label) if nbytes and secrets.randbelow(2) else None
        allocation = allocation or self.allocate(nbytes, label)
        address = allocation + placement.offset * tensor.dtype.itemsize
        if tensor.layout in {Layout.DENSE, Layout.OFFSET}:
            self.memory.view(address, len(tensor.data))[:] = tensor.data
        elif tensor.data:
            dense = np.frombuffer(tensor.data, f"V{tensor.dtype.itemsize}").reshape(tensor.shape)
            self._elements(address, tensor.dtype, tensor.shape, placement.strides)[...] = dense
        return Placed(allocation, address, tensor.dtype, tensor.shape, placement.strides)

    def read_back(self, placed: Placed) -> Tensor:
        """Copy a tensor that `put` placed out of the memory."""
        return self.read(placed.address, placed.dtype, placed.shape, placed.strides)

    def read(self, address: int, dtype: DType, shape: Sequence[int], strides: Sequence[int] | None = None) -> Tensor:
        """Copy a tensor out of the memory.

        Parameters
        ----------
        strides
            In elements; dense by default.

        Raises
        ------
        HostError
            It does not lie within one live allocation.
        """
        steps = dense_strides(shape) if strides is None else tuple(strides)
        if min(steps, default=0) < 0:
            raise HostError("a result has a negative stride")
        nbytes = extent(shape, steps) * dtype.itemsize
        if nbytes == 0:
            return Tensor(dtype=dtype, shape=tuple(shape), data=b"")
        allocation = self.memory.find(address)
        if allocation is None or allocation.freed or address + nbytes > allocation.address + allocation.size:
            raise HostError(f"a result of shape {list(shape)} does not lie in memory of the card that is allocated")
        elements = self._elements(address, dtype, shape, steps)
        return Tensor(dtype=dtype, shape=tuple(shape), data=elements.tobytes())

    def _elements(
        self, address: int, dtype: DType, shape: Sequence[int], strides: Sequence[int]
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.void]]:
        """Return a writable array over the elements of a tensor in the memory."""
        view = self.memory.view(address, extent(shape, strides) * dtype.itemsize)
        flat = np.frombuffer(view, dtype=f"V{dtype.itemsize}")
        return np.lib.stride_tricks.as_strided(flat, tuple(shape), [stride * dtype.itemsize for stride in strides])

    @contextmanager
    def shifted(self) -> Iterator[None]:
        """Leave a random gap before what is allocated inside, so that no address says which call this is."""
        gap = self.memory.allocate(_ALIGNMENT * (1 + secrets.randbelow(1024)), "gap")
        try:
            yield
        finally:
            self.memory.free(gap)
