"""Runs a compiler as a held process: source is untrusted, even when it is only compiled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sandbox.isolation import Isolation, Mounts
from sandbox.process import Finished, HeldProcess, ProcessFailedError
from sandbox.toolchain import Toolchain
from sandbox.values import BuildError, BuildErrorKind, ExitState, Limits

FORMAT = "1"
"""Part of every cache key; changes when the layout of a cached build does."""


class Compiler:
    """The toolchain, held by one isolation under one set of limits.

    Parameters
    ----------
    toolchain
        The compilers.
    isolation
        How they are held.
    limits
        What one compilation may use.
    cache_dir
        Folder of the build cache, for what builds of several candidates share.
    """

    def __init__(self, toolchain: Toolchain, isolation: Isolation, limits: Limits, cache_dir: Path) -> None:
        self.toolchain = toolchain
        self.cache_dir = cache_dir
        self._isolation = isolation
        self._limits = limits

    def run(self, command: Sequence[str], folder: Path, *, readable: Sequence[Path] = ()) -> Finished:
        """Run a compiler in `folder`, the only place that it may write.

        Raises
        ------
        BuildError
            It took too long or too much memory.
        """
        shown = (self.toolchain.cuda, self.toolchain.tvm_ffi, *readable)
        mounts = Mounts(readable=shown, writable=(folder,), folder=folder)
        process = HeldProcess(command, isolation=self._isolation, limits=self._limits, mounts=mounts, home=folder)
        with process:
            try:
                return process.wait(self._limits.wall_seconds)
            except ProcessFailedError as error:
                if error.state is ExitState.TIMEOUT:
                    late = f"the compilation did not end within {self._limits.wall_seconds:g} s"
                    raise BuildError(BuildErrorKind.TIMEOUT, late, process.output) from error
                stopped = f"the compiler was stopped: {error.message}"
                raise BuildError(BuildErrorKind.OTHER, stopped, process.output) from error


def nvcc_flags(arch: str) -> tuple[str, ...]:
    """Return the flags of every nvcc build, paths left out.

    Machine code for the real card and PTX, uncompressed, for the simulated one; line information for diagnostics; what
    PyTorch passes for extensions (constexpr host functions in kernels);
    host code at -O1, since it only launches and optimising it costs more than it gains.
    """
    virtual = arch.replace("sm_", "compute_")
    return (
        *("-gencode", f"arch={virtual},code=[{arch},{virtual}]", "--no-compress", "-lineinfo"),
        *("-std=c++17", "--expt-relaxed-constexpr", "-Xcompiler", "-O1,-fPIC", "-Xptxas", "-v", "-shared"),
        *("-Xlinker", "--no-undefined"),
    )


def link_flags(toolchain: Toolchain) -> tuple[str, ...]:
    """Return how a shared object is linked: to the runtime's shared library, so that a stand-in can take its place."""
    return ("-cudart", "none", "-Xlinker", str(toolchain.cudart), "-ccbin", str(toolchain.gxx))
