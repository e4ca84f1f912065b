"""DLPack tensors over memory of our own, through ctypes.

Tensors of the simulated card pose as CUDA tensors whose addresses lie in host memory; NumPy has no bfloat16 and no
CUDA device, so the structures are filled in by hand. Layout: dlpack.h, version 1.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count

import tvm_ffi

from sandbox.layouts import dense_strides
from tasks.values import DType

CPU = 1
CUDA = 2
_VERSION = (1, 1)


class DLDevice(ctypes.Structure):
    """Device of a tensor."""

    _fields_ = (("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32))


class DLDataType(ctypes.Structure):
    """Element type of a tensor."""

    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class DLTensor(ctypes.Structure):
    """A tensor without ownership."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", DLDevice),
        ("ndim", ctypes.c_int32),
        ("dtype", DLDataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class DLManagedTensor(ctypes.Structure):
    """A tensor with its deleter (`DLManagedTensorVersioned`)."""


_Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(DLManagedTensor))
DLManagedTensor._fields_ = (
    ("version", ctypes.c_uint32 * 2),
    ("manager_ctx", ctypes.c_void_p),
    ("deleter", _Deleter),
    ("flags", ctypes.c_uint64),
    ("dl_tensor", DLTensor),
)

_SetError = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)
_Allocator = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.POINTER(DLTensor),
    ctypes.POINTER(ctypes.POINTER(DLManagedTensor)),
    ctypes.c_void_p,
    _SetError,
)

_CODES = {
    DType.FLOAT64: (2, 64),
    DType.FLOAT32: (2, 32),
    DType.FLOAT16: (2, 16),
    DType.BFLOAT16: (4, 16),
    DType.INT64: (0, 64),
    DType.INT32: (0, 32),
    DType.INT16: (0, 16),
    DType.INT8: (0, 8),
    DType.UINT8: (1, 8),
    DType.BOOL: (6, 8),
}
_DTYPES = {codes: dtype for dtype, codes in _CODES.items()}


class UnknownElementTypeError(Exception):
    """A DLPack element type that tasks do not exchange."""


def dtype_of(code: int, bits: int, lanes: int) -> DType:
    """Return the element type of DLPack codes.

    Raises
    ------
    UnknownElementTypeError
        Tasks have no such type.
    """
    if lanes != 1 or (code, bits) not in _DTYPES:
        raise UnknownElementTypeError(f"the element type (code {code}, {bits} bits, {lanes} lanes) is not supported")
    return _DTYPES[code, bits]


@dataclass(frozen=True, slots=True)
class _Owned:
    managed: DLManagedTensor
    arrays: tuple[ctypes.Array[ctypes.c_int64], ctypes.Array[ctypes.c_int64]]
    release: Callable[[], None]


class TensorFactory:
    """Makes DLPack tensors, and holds what they point at until their deleters run.

    Parameters
    ----------
    allocate
        Gives the address of new memory on a device type (`CPU` or `CUDA`).
    free
        Takes such an address back.
    """

    def __init__(self, allocate: Callable[[int, int], int], free: Callable[[int, int], None]) -> None:
        self._allocate = allocate
        self._free = free
        self._owned: dict[int, _Owned] = {}
        self._numbers = count(1)
        self._deleter = _Deleter(self._delete)
        self._allocator = _Allocator(self._allocate_managed)

    def install(self) -> None:
        """Make TVM FFI's allocator use this factory, for every library of this process."""
        setter = tvm_ffi.LIB.TVMFFIEnvSetDLPackManagedTensorAllocator
        setter.argtypes = [_Allocator, ctypes.c_int, ctypes.c_void_p]
        if setter(self._allocator, 1, None) != 0:
            raise RuntimeError("TVM FFI does not take the allocator")

    def tensor(
        self, allocation: int, address: int, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> tvm_ffi.Tensor:
        """Wrap memory that `allocate` gave as a CUDA tensor that begins at `address`; it is freed with the tensor."""
        code, bits = _CODES[dtype]
        release = partial(self._free, allocation, CUDA)
        managed = self._managed(address, CUDA, DLDataType(code, bits, 1), shape, strides=strides, release=release)
        return tvm_ffi.from_dlpack(_capsule(managed))

    def borrowed(
        self, address: int, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...], owner: object
    ) -> tvm_ffi.Tensor:
        """Wrap memory of the card that `owner` holds, which is kept until the tensor is gone."""
        code, bits = _CODES[dtype]
        managed = self._managed(
            address, CUDA, DLDataType(code, bits, 1), shape, strides=strides, release=partial(_let_go, owner)
        )
        return tvm_ffi.from_dlpack(_capsule(managed))

    def _managed(
        self,
        address: int,
        device: int,
        dtype: DLDataType,
        shape: tuple[int, ...],
        *,
        strides: tuple[int, ...] | None = None,
        release: Callable[[], None] | None = None,
    ) -> DLManagedTensor:
        number = next(self._numbers)
        sizes = (ctypes.c_int64 * max(len(shape), 1))(*shape)
        steps = (ctypes.c_int64 * max(len(shape), 1))(*(dense_strides(shape) if strides is None else strides))
        managed = DLManagedTensor()
        managed.version = _VERSION
        managed.manager_ctx = number
        managed.deleter = self._deleter
        managed.dl_tensor = DLTensor(address, DLDevice(device, 0), len(shape), dtype, sizes, steps, 0)
        self._owned[number] = _Owned(managed, (sizes, steps), release or partial(self._free, address, device))
        return managed

    def _delete(self, managed: ctypes._Pointer[DLManagedTensor]) -> None:
        owned = self._owned.pop(managed.contents.manager_ctx)
        owned.release()

    def _allocate_managed(
        self,
        prototype: ctypes._Pointer[DLTensor],
        result: ctypes._Pointer[ctypes._Pointer[DLManagedTensor]],
        context: int,
        set_error: Callable[[int, bytes, bytes], None],
    ) -> int:
        wanted = prototype.contents
        shape = tuple(wanted.shape[: wanted.ndim])
        nbytes = wanted.dtype.bits // 8
        for size in shape:
            nbytes *= size
        try:
            address = self._allocate(nbytes, wanted.device.device_type)
        except MemoryError as error:
            set_error(context, b"MemoryError", str(error).encode())
            return -1
        managed = self._managed(address, wanted.device.device_type, wanted.dtype, shape)
        result[0] = ctypes.pointer(managed)
        return 0


def _let_go(_owner: object) -> None:
    """Be a release that does nothing but hold its argument until then."""


def _capsule(managed: DLManagedTensor) -> object:
    make = ctypes.pythonapi.PyCapsule_New
    make.restype = ctypes.py_object
    make.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    capsule: object = make(ctypes.addressof(managed), b"dltensor_versioned", None)
    return capsule
