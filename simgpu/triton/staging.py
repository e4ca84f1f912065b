"""Brings tensors of host memory onto the card for one launch, and back."""

from __future__ import annotations

import ctypes
import mmap
from dataclasses import dataclass
from typing import Protocol

from simgpu import DeviceMemory, LaunchRefusedError

_PAGE = mmap.PAGESIZE
_VECTOR = 16
"""Triton specialises kernels on pointers that are multiples of 16; a copy keeps the remainder."""


class Storage(Protocol):
    """The memory behind a tensor and its views, as `torch.UntypedStorage`."""

    def data_ptr(self) -> int:
        """Return its address."""

    def nbytes(self) -> int:
        """Return its size."""


class HostTensor(Protocol):
    """What of `torch.Tensor` a launch needs."""

    def data_ptr(self) -> int:
        """Return the address of the first element."""

    def untyped_storage(self) -> Storage:
        """Return the memory that the tensor is a view of."""


@dataclass(frozen=True, slots=True)
class _Copy:
    """A storage on the host and its place on the card."""

    host: int
    nbytes: int
    allocation: int
    device: int


class Staging:
    """The tensors of one launch.

    Data that lies on the card already stays there. Other storages are copied to the card whole, each once, so that
    views of one storage overlap there as they do on the host.

    Parameters
    ----------
    memory
        The card's memory.
    in_place
        Copy nothing: the kernel works on host memory.
    host_tensors
        Whether tensors of host memory are taken.
    """

    def __init__(self, memory: DeviceMemory, *, in_place: bool = False, host_tensors: bool = True) -> None:
        self._memory = memory
        self._in_place = in_place
        self._host_tensors = host_tensors
        self._copies: dict[int, _Copy] = {}

    def address(self, tensor: HostTensor | int | None, label: str) -> int:
        """Return the card's address of a tensor's data; integers are addresses already, None is the null pointer.

        Raises
        ------
        LaunchRefusedError
            The tensor lies in host memory, and such are not taken.
        """
        if tensor is None or isinstance(tensor, int):
            return tensor or 0
        pointer = tensor.data_ptr()
        if pointer == 0 or self._on_card(pointer):
            return pointer
        if not self._host_tensors:
            raise LaunchRefusedError("cudaErrorInvalidValue", f"'{label}' is a tensor of host memory, not of the card")
        if self._in_place:
            return pointer
        storage = tensor.untyped_storage()
        copy = self._copies.get(storage.data_ptr())
        if copy is None:
            copy = self._bring(storage, label)
            self._copies[copy.host] = copy
        return copy.device + pointer - copy.host

    def _on_card(self, pointer: int) -> bool:
        found = self._memory.find(pointer)
        return found is not None and not found.freed

    def scratch(self, nbytes: int, align: int, label: str) -> int:
        """Return the address of memory that lasts as long as the launch; 0 when none is asked for."""
        if nbytes == 0:
            return 0
        allocation = self._memory.allocate(nbytes + align, label)
        device = -(-allocation // align) * align
        ctypes.memset(device, 0, nbytes)
        self._copies[-allocation] = _Copy(0, 0, allocation, device)
        return device

    def _bring(self, storage: Storage, label: str) -> _Copy:
        host, nbytes = storage.data_ptr(), storage.nbytes()
        shift = host % _VECTOR
        allocation = self._memory.allocate(nbytes + shift, label)
        content = memoryview((ctypes.c_ubyte * nbytes).from_address(host)).cast("B")
        self._memory.view(allocation + shift, nbytes)[:] = content
        return _Copy(host, nbytes, allocation, allocation + shift)

    def finish(self) -> None:
        """Copy the storages back to the host and release their memory on the card."""
        for copy in self._copies.values():
            ctypes.memmove(copy.host, copy.device, copy.nbytes)
            self._memory.free(copy.allocation)
            _give_back(copy.allocation, copy.nbytes)
        self._copies.clear()


def _give_back(address: int, nbytes: int) -> None:
    """Let the system have a freed range's pages; the card uses freed ranges again only after a long time."""
    start, end = -(-address // _PAGE) * _PAGE, (address + nbytes) // _PAGE * _PAGE
    if start < end:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)
