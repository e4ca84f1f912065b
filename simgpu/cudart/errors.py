"""Error codes of the CUDA runtime, and which one a fault on the simulated GPU gives."""

from __future__ import annotations

import re
from enum import IntEnum
from functools import cache
from importlib import resources

from simgpu.errors import SimgpuError
from simgpu.names import readable
from simgpu.report import Diagnostic, DiagnosticKind


class CudaCode(IntEnum):
    """The codes that the stand-in gives by itself; the full list is `native/errors.inc`."""

    SUCCESS = 0
    INVALID_VALUE = 1
    MEMORY_ALLOCATION = 2
    INVALID_CONFIGURATION = 9
    INVALID_SYMBOL = 13
    INVALID_DEVICE_FUNCTION = 98
    INVALID_KERNEL_IMAGE = 200
    NO_KERNEL_IMAGE_FOR_DEVICE = 209
    UNSUPPORTED_PTX_VERSION = 222
    INVALID_RESOURCE_HANDLE = 400
    ILLEGAL_ADDRESS = 700
    LAUNCH_OUT_OF_RESOURCES = 701
    LAUNCH_TIMEOUT = 702
    ASSERT = 710
    HOST_MEMORY_ALREADY_REGISTERED = 712
    HOST_MEMORY_NOT_REGISTERED = 713
    MISALIGNED_ADDRESS = 716
    LAUNCH_FAILURE = 719
    COOPERATIVE_LAUNCH_TOO_LARGE = 720
    NOT_SUPPORTED = 801
    UNKNOWN = 999


class CudaError(SimgpuError):
    """A call that the CUDA runtime would refuse with `code`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class KernelFaultError(CudaError):
    """A launch that the simulator saw go wrong; the program learns of it in the calls after the launch."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(fault_code(diagnostic), describe(diagnostic))
        self.diagnostic = diagnostic


_FAULTS = {
    DiagnosticKind.OUT_OF_BOUNDS: CudaCode.ILLEGAL_ADDRESS,
    DiagnosticKind.USE_AFTER_FREE: CudaCode.ILLEGAL_ADDRESS,
    DiagnosticKind.MISALIGNED: CudaCode.MISALIGNED_ADDRESS,
    DiagnosticKind.DEADLOCK: CudaCode.LAUNCH_TIMEOUT,
    DiagnosticKind.RUNAWAY: CudaCode.LAUNCH_TIMEOUT,
    DiagnosticKind.ASSERTION: CudaCode.ASSERT,
}


def fault_code(diagnostic: Diagnostic) -> CudaCode:
    """Return the error that a real card gives for a fault; what it might not notice counts as a launch failure."""
    return _FAULTS.get(diagnostic.kind, CudaCode.LAUNCH_FAILURE)


def describe(diagnostic: Diagnostic) -> str:
    """Return a fault and its place in one line."""
    where = f"{diagnostic.file}:{diagnostic.line}" if diagnostic.file else f"PTX line {diagnostic.ptx_line}"
    thread = f", block {diagnostic.block}, thread {diagnostic.thread}" if diagnostic.block is not None else ""
    return f"{where}: {diagnostic.kind} in {readable(diagnostic.kernel)}{thread}: {diagnostic.message}"


@cache
def _codes_by_name() -> dict[str, int]:
    text = resources.files("simgpu.cudart").joinpath("native/errors.inc").read_text(encoding="utf-8")
    return {name: int(code) for code, name in re.findall(r"^ERROR_TEXT\((\d+), (\w+),", text, re.MULTILINE)}


def code_of(name: str) -> int:
    """Return the number of a CUDA error by its name, for instance `cudaErrorInvalidConfiguration`."""
    return _codes_by_name().get(name, CudaCode.UNKNOWN)
