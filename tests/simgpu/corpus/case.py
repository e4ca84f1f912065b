"""One line of the corpus' tables: a kernel, how it is launched, and what it must compute."""

import struct
from dataclasses import dataclass

import numpy as np

from simgpu import DeviceMemory, LaunchOptions, launch


@dataclass(frozen=True)
class Out:
    """A buffer that the kernel writes.

    `expected` comes from an independent computation. Without `initial` the buffer starts with what the memory's
    poison left there, so an element that the kernel forgets is found. Both tolerances at zero ask for equal bits.
    """

    expected: np.ndarray
    rtol: float = 0.0
    atol: float = 0.0
    initial: np.ndarray | None = None


Buffer = np.ndarray | Out


def close(values, rtol, atol=0.0, *, dtype=np.float32, initial=None):
    """Return an `Out` of `dtype` from expected values that are known more precisely."""
    return Out(np.asarray(values).astype(dtype), rtol, atol, initial)


@dataclass(frozen=True)
class Case:
    """A launch; arrays are read-only inputs, numpy scalars go by value, `Out`s are what is judged.

    A tuple of buffers is passed as an array of pointers to them.
    """

    kernel: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    arguments: tuple[Buffer | np.generic | tuple[Buffer, ...], ...]
    shared: int = 0
    archs: tuple[str, ...] = ("sm_80",)
    seeds: tuple[int | None, ...] = (None,)
    note: str = ""

    def __str__(self):
        return "-".join(part for part in (self.kernel, self.note) if part)


def check(case, module, seed=None):
    """Launch with all checks on; fail on a diagnostic, a wrong output or a changed input."""
    memory = DeviceMemory(64 << 20)
    params, buffers = b"", []
    for place, argument in enumerate(case.arguments):
        if isinstance(argument, np.generic):
            data = argument.tobytes()
            align = min(len(data), 16) if argument.dtype.names is None else argument.dtype.alignment
        elif isinstance(argument, tuple):
            placed = [(one, _place(memory, one, f"argument {place}")) for one in argument]
            buffers += placed
            pointers = np.array([address for _, address in placed], np.uint64)
            data, align = struct.pack("<Q", _place(memory, pointers, f"argument {place}")), 8
        else:
            buffers.append((argument, _place(memory, argument, f"argument {place}")))
            data, align = struct.pack("<Q", buffers[-1][1]), 8
        params = params.ljust(-(-len(params) // align) * align, b"\0") + data
    grid, block = ((*given, 1, 1)[:3] for given in (case.grid, case.block))
    report = launch(
        module, case.kernel, grid=grid, block=block, params=params, dynamic_shared=case.shared, memory=memory,
        options=LaunchOptions(schedule_seed=seed),
    )  # fmt: skip
    assert report.ok, report.diagnostics
    for argument, address in buffers:
        _judge(memory, argument, address)
    return report


def _place(memory, argument, label):
    array = argument.expected if isinstance(argument, Out) else argument
    address = memory.allocate(array.nbytes, label)
    first = argument.initial if isinstance(argument, Out) else argument
    if first is not None:
        memory.view(address, first.nbytes)[:] = first.tobytes()
    return address


def _judge(memory, argument, address):
    like = argument.expected if isinstance(argument, Out) else argument
    got = np.frombuffer(bytes(memory.view(address, like.nbytes)), like.dtype).reshape(like.shape)
    if isinstance(argument, Out) and (argument.rtol or argument.atol):
        wide = np.complex128 if like.dtype.kind == "c" else np.float64
        np.testing.assert_allclose(got.astype(wide), like.astype(wide), argument.rtol, argument.atol)
    else:
        np.testing.assert_array_equal(got, like)


def random(seed, *shape, dtype=np.float32):
    """Return normal numbers, or for an integer type numbers over its middle half."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind in "iu":
        info = np.iinfo(dtype)
        return rng.integers(info.min // 2, info.max // 2, shape, dtype=dtype)
    return rng.standard_normal(shape).astype(dtype)


def to_bf16(array):
    """Round float32 to the nearest bfloat16, ties to even; the bits as uint16."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def from_bf16(bits):
    """Widen bfloat16 bits to float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def blocks(count, size):
    """Return the number of blocks of `size` that cover `count`."""
    return -(-count // size)
