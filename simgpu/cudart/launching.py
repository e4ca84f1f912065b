"""What the CUDA runtime checks before a launch, and how it lays out the parameters."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass

from simgpu.cudart.cubin import KernelResources
from simgpu.cudart.engine import KernelImage
from simgpu.cudart.errors import CudaCode, CudaError
from simgpu.occupancy import occupancy
from simgpu.report import Dim3
from simgpu.specs import DeviceSpec


@dataclass(frozen=True, slots=True)
class LaunchShape:
    """What a launch asks the card for."""

    grid: Dim3
    block: Dim3
    dynamic_shared: int
    cooperative: bool = False


def largest_dynamic_shared(spec: DeviceSpec, kernel: KernelImage, asked: int | None) -> int:
    """Return the most dynamic shared memory that a launch may ask for.

    Parameters
    ----------
    asked
        The kernel's `cudaFuncAttributeMaxDynamicSharedMemorySize`, None when the program did not set it.
    """
    return asked if asked is not None else max(spec.shared_per_block - kernel.static_shared, 0)


def check_launch(
    spec: DeviceSpec, kernel: KernelImage, resources: KernelResources, shape: LaunchShape, dynamic_limit: int
) -> int:
    """Refuse a launch that a real card would refuse; return the blocks of it that the card holds at once.

    Raises
    ------
    CudaError
        With the code that the CUDA runtime gives.
    """
    threads = math.prod(shape.block)
    if min(shape.grid) < 1 or any(size > most for size, most in zip(shape.grid, spec.max_grid, strict=True)):
        raise CudaError(CudaCode.INVALID_CONFIGURATION, f"grid {shape.grid} is empty or beyond {spec.max_grid}")
    if min(shape.block) < 1 or any(size > most for size, most in zip(shape.block, spec.max_block, strict=True)):
        raise CudaError(CudaCode.INVALID_CONFIGURATION, f"block {shape.block} is empty or beyond {spec.max_block}")
    if threads > spec.max_threads_per_block:
        raise CudaError(
            CudaCode.INVALID_CONFIGURATION, f"{threads} threads per block, the card has {spec.max_threads_per_block}"
        )
    if kernel.max_threads is not None and threads > kernel.max_threads:
        raise CudaError(
            CudaCode.LAUNCH_OUT_OF_RESOURCES,
            f"{threads} threads per block, the launch bounds allow {kernel.max_threads}",
        )
    if shape.dynamic_shared > dynamic_limit:
        raise CudaError(
            CudaCode.INVALID_VALUE,
            f"{shape.dynamic_shared} bytes of dynamic shared memory, at most {dynamic_limit} allowed",
        )
    held = occupancy(spec, threads, resources.registers, kernel.static_shared + shape.dynamic_shared)
    if not held.blocks_per_sm:
        raise CudaError(
            CudaCode.LAUNCH_OUT_OF_RESOURCES,
            f"a block of {threads} threads with {resources.registers} registers each and {kernel.static_shared} + "
            f"{shape.dynamic_shared} bytes of shared memory does not fit on an SM ({held.limit})",
        )
    room = held.blocks_per_sm * spec.sms
    if shape.cooperative and math.prod(shape.grid) > room:
        raise CudaError(
            CudaCode.COOPERATIVE_LAUNCH_TOO_LARGE, f"{math.prod(shape.grid)} blocks, the card holds {room} at once"
        )
    return room


def pack_parameters(kernel: KernelImage, arguments: int) -> bytes:
    """Copy the arguments into a parameter buffer.

    Parameters
    ----------
    arguments
        Address of an array with one pointer per parameter; unused when the kernel takes none.
    """
    buffer = bytearray(kernel.param_bytes)
    if kernel.params:
        pointers = (ctypes.c_void_p * len(kernel.params)).from_address(arguments)
        for parameter, pointer in zip(kernel.params, pointers, strict=True):
            if pointer is None:
                raise CudaError(CudaCode.INVALID_VALUE, f"the parameter at offset {parameter.offset} is a null pointer")
            buffer[parameter.offset : parameter.offset + parameter.size] = ctypes.string_at(pointer, parameter.size)
    return bytes(buffer)
