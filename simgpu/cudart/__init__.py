"""The CUDA runtime of the simulated GPU: a stand-in `libcudart` that unmodified host code binds to."""

from simgpu.cudart.runtime import StandInRuntime

__all__ = ["StandInRuntime"]
