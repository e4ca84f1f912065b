"""The CUDA driver's calls that this program makes itself, beside those of PyTorch."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from cuda.bindings import driver


class DriverError(Exception):
    """A call of the CUDA driver failed."""


def checked(result: tuple[object, ...]) -> tuple[object, ...]:
    """Return what a call of the driver gave beside its code.

    Raises
    ------
    DriverError
        The code is an error's.
    """
    code, *values = result
    if code != driver.CUresult.CUDA_SUCCESS:
        _, text = driver.cuGetErrorString(code)
        raise DriverError(text.decode() if text else str(code))
    return tuple(values)


def load_module(ptx: bytes) -> object:
    """Have PTX made into a module of the current context.

    Raises
    ------
    DriverError
        The driver refuses it.
    """
    (module,) = checked(driver.cuModuleLoadData(ptx + b"\0"))
    return module


def function_of(module: object, name: str) -> object:
    """Return a kernel of a module, which lives as long as the module.

    Raises
    ------
    DriverError
        There is none of that name.
    """
    (function,) = checked(driver.cuModuleGetFunction(module, name.encode()))
    return function


def launch(
    function: object,
    grid: Sequence[int],
    block: Sequence[int],
    arguments: Sequence[bytes],
    *,
    stream: int,
    dynamic_shared: int = 0,
) -> None:
    """Enqueue a kernel; its arguments are given as the bytes of each.

    Raises
    ------
    DriverError
        The driver refuses it.
    """
    buffers = [ctypes.create_string_buffer(data, len(data)) for data in arguments]
    pointers = (ctypes.c_void_p * len(buffers))(*(ctypes.addressof(buffer) for buffer in buffers))
    checked(driver.cuLaunchKernel(function, *grid, *block, dynamic_shared, stream, ctypes.addressof(pointers), 0))
