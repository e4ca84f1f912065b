"""simgpu: a simulated GPU that executes PTX on the CPU, checks every access and models the time."""

from simgpu.errors import (
    LaunchRefusedError,
    OutOfDeviceMemoryError,
    PtxSyntaxError,
    SimgpuError,
    UnsupportedError,
)
from simgpu.launch import LaunchOptions, launch
from simgpu.memory import Allocation, DeviceMemory
from simgpu.module import GlobalVariable, Kernel, Module, Param, load_module
from simgpu.report import Counters, Diagnostic, DiagnosticKind, Dim3, LaunchReport

__all__ = [
    "Allocation",
    "Counters",
    "DeviceMemory",
    "Diagnostic",
    "DiagnosticKind",
    "Dim3",
    "GlobalVariable",
    "Kernel",
    "LaunchOptions",
    "LaunchRefusedError",
    "LaunchReport",
    "Module",
    "OutOfDeviceMemoryError",
    "Param",
    "PtxSyntaxError",
    "SimgpuError",
    "UnsupportedError",
    "launch",
    "load_module",
]
