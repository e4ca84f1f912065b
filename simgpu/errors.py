"""Errors of the simulated GPU. `sandbox` maps them to the project's own, once.

SimgpuError
├── PtxSyntaxError       the text is not PTX
├── UnsupportedError     PTX that is not implemented, by name and line
│   └── UnplacedError    the same, before it is known which instruction has it
├── LaunchRefusedError   a launch that a real card would refuse (limits, unknown kernel, parameter size)
├── OutOfDeviceMemoryError
└── OutOfHostMemoryError this machine cannot hold the launch
"""


class SimgpuError(Exception):
    """Base of the simulator's errors."""


class PtxSyntaxError(SimgpuError):
    """The text is not valid PTX; the message names the line."""


class UnsupportedError(SimgpuError):
    """An instruction, type, state space or directive that simgpu lacks; the message names it and its place."""


class UnplacedError(UnsupportedError):
    """A part of an instruction that simgpu lacks; whoever knows the instruction names it (`simgpu.refusal`)."""


class LaunchRefusedError(SimgpuError):
    """A launch that a real card would refuse; `code` is the CUDA error that it would give."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class OutOfDeviceMemoryError(SimgpuError):
    """The simulated card's memory is used up."""


class OutOfHostMemoryError(SimgpuError):
    """A launch needs more memory of this machine than it has; a card would run it."""
