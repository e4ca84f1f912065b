"""Tensors of the process border as NumPy arrays, and back: the one place that knows bit layouts.

NumPy has no bfloat16, so a bfloat16 tensor is held as float32 (exact), and rounding to it happens here.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from sandbox.values import Tensor
from tasks.values import DType

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]

_STORAGE: Final[dict[DType, str]] = {
    DType.FLOAT64: "<f8",
    DType.FLOAT32: "<f4",
    DType.FLOAT16: "<f2",
    DType.BFLOAT16: "<u2",
    DType.INT64: "<i8",
    DType.INT32: "<i4",
    DType.INT16: "<i2",
    DType.INT8: "i1",
    DType.UINT8: "u1",
    DType.BOOL: "?",
}

UNIT_ROUNDOFF: Final[dict[DType, float]] = {
    DType.FLOAT64: 2.0**-53,
    DType.FLOAT32: 2.0**-24,
    DType.FLOAT16: 2.0**-11,
    DType.BFLOAT16: 2.0**-8,
}
"""Largest relative error of one rounding to nearest (IEEE 754: half the spacing at 1)."""

LOWER_ROUNDOFF: Final[dict[DType, float]] = {
    DType.FLOAT64: 2.0**-24,
    DType.FLOAT32: 2.0**-8,
    DType.FLOAT16: 2.0**-8,
    DType.BFLOAT16: 2.0**-4,
}
"""The same of the next lower type: that of float32, bfloat16, bfloat16, and float8 e4m3."""

SMALLEST_NORMAL: Final[dict[DType, float]] = {
    DType.FLOAT64: 2.0**-1022,
    DType.FLOAT32: 2.0**-126,
    DType.FLOAT16: 2.0**-14,
    DType.BFLOAT16: 2.0**-126,
}
"""Below this a device may flush to zero."""


def storage(tensor: Tensor) -> Array:
    """Return the tensor's elements as they are stored; bfloat16 as unsigned 16-bit patterns."""
    if len(tensor.data) == 0:
        return np.empty(tensor.shape, dtype=_STORAGE[tensor.dtype])
    return np.frombuffer(tensor.data, dtype=_STORAGE[tensor.dtype]).reshape(tensor.shape)


def to_array(tensor: Tensor) -> Array:
    """Return the tensor's values as a NumPy array; bfloat16 becomes float32, which is exact."""
    stored = storage(tensor)
    if tensor.dtype is not DType.BFLOAT16:
        return stored
    return (stored.astype(np.uint32) << 16).view(np.float32)


def to_float64(tensor: Tensor) -> FloatArray:
    """Return the tensor's values as float64; integers beyond 2**53 lose their last digits."""
    return to_array(tensor).astype(np.float64)


def from_array(values: Array, dtype: DType) -> Tensor:
    """Return `values` as a dense tensor of type `dtype`, rounding to nearest, ties to even."""
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype is DType.BFLOAT16:
            stored = _bfloat16_bits(values.astype(np.float32))
        else:
            stored = values.astype(_STORAGE[dtype])
    return Tensor(dtype=dtype, shape=tuple(values.shape), data=stored.tobytes())


def from_storage(stored: Array, dtype: DType) -> Tensor:
    """Return a tensor from stored elements (the inverse of `storage`)."""
    return Tensor(dtype=dtype, shape=tuple(stored.shape), data=stored.astype(_STORAGE[dtype]).tobytes())


def rounded(values: FloatArray, dtype: DType) -> FloatArray:
    """Return float64 values rounded to the grid of `dtype`, infinities where they overflow it."""
    return to_float64(from_array(values, dtype))


def same_bits(left: Tensor, right: Tensor) -> bool:
    """Return whether two tensors have the same type, sizes and bytes."""
    return left.dtype is right.dtype and left.shape == right.shape and bytes(left.data) == bytes(right.data)


def neighbours(tensor: Tensor, up: npt.NDArray[np.bool_]) -> Tensor:
    """Return the tensor with each non-zero finite element moved to an adjacent number of its type.

    Adjacent floating-point numbers of one sign have adjacent bit patterns, so the move is an addition to the
    stored integer: `up` moves away from zero, otherwise towards it. The largest finite numbers, zeros and
    numbers that are not normal stay as they are, so that a move never changes the class of a number.
    """
    values = to_float64(tensor)
    limit = np.finfo(np.float32).max if tensor.dtype is DType.BFLOAT16 else np.finfo(_STORAGE[tensor.dtype]).max
    movable = np.isfinite(values) & (np.abs(values) > SMALLEST_NORMAL[tensor.dtype]) & (np.abs(values) < limit / 2)
    integers = storage(tensor).view(f"<u{tensor.dtype.itemsize}")
    step = np.where(movable, np.where(up, 1, -1), 0)
    moved = (integers.astype(np.int64) + step).astype(integers.dtype)
    return Tensor(dtype=tensor.dtype, shape=tensor.shape, data=moved.tobytes())


def _bfloat16_bits(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Round float32 to bfloat16 bit patterns, ties to even; a NaN stays a NaN."""
    bits = values.view(np.uint32).astype(np.uint64)
    even = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    quiet = (bits >> 16) | 0x40
    return np.where(np.isnan(values), quiet, even).astype(np.uint16)
