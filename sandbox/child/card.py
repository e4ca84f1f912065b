"""One simulated card's memory, and tensors in it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod

import numpy as np

from sandbox.child.host import HostError
from sandbox.values import Tensor
from simgpu import DeviceMemory
from simgpu.specs import DeviceSpec
from tasks.values import DType

_ALIGNMENT = 256


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

    def put(self, tensor: Tensor, label: str) -> int:
        """Copy a tensor into memory: new, or that of a freed tensor of its size, at even chances.

        So a result that was kept by its argument's address is asked for again with other values.
        """
        address = self.memory.revive(len(tensor.data), label) if tensor.data and secrets.randbelow(2) else None
        address = address or self.allocate(len(tensor.data), label)
        if tensor.data:
            self.memory.view(address, len(tensor.data))[:] = tensor.data
        return address

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
        extent = _extent(shape, strides) * dtype.itemsize
        if extent == 0:
            return Tensor(dtype=dtype, shape=tuple(shape), data=b"")
        allocation = self.memory.find(address)
        if allocation is None or allocation.freed or address + extent > allocation.address + allocation.size:
            raise HostError(f"a result of shape {list(shape)} does not lie in memory of the card that is allocated")
        view = self.memory.view(address, extent)
        if strides is None:
            return Tensor(dtype=dtype, shape=tuple(shape), data=bytes(view))
        flat = np.frombuffer(view, dtype=f"V{dtype.itemsize}")
        steps = [stride * dtype.itemsize for stride in strides]
        dense = np.lib.stride_tricks.as_strided(flat, tuple(shape), steps, writeable=False)
        return Tensor(dtype=dtype, shape=tuple(shape), data=dense.tobytes())

    @contextmanager
    def shifted(self) -> Iterator[None]:
        """Leave a random gap before what is allocated inside, so that no address says which call this is."""
        gap = self.memory.allocate(_ALIGNMENT * (1 + secrets.randbelow(1024)), "gap")
        try:
            yield
        finally:
            self.memory.free(gap)


def _extent(shape: Sequence[int], strides: Sequence[int] | None) -> int:
    """Elements from the first to the last, both included."""
    if strides is None or 0 in shape:
        return prod(shape)
    if min(strides, default=0) < 0:
        raise HostError("a result has a negative stride")
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
