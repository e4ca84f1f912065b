"""Runs a compiler as a held process: source is untrusted, even when it is only compiled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sandbox.isolation import Isolation, Mounts
from sandbox.process import Finished, HeldProcess, ProcessFailedError
from sandbox.settings import SandboxSettings
from sandbox.toolchain import Toolchain
from sandbox.values import BuildError, BuildErrorKind, ExitState, Limits

FORMAT = "2"
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
    settings
        Those that the build was asked for with.
    flags
        Further flags for device code.
    """

    def __init__(
        self,
        toolchain: Toolchain,
        isolation: Isolation,
        limits: Limits,
        settings: SandboxSettings,
        flags: tuple[str, ...] = (),
    ) -> None:
        self.toolchain = toolchain
        self.limits = limits
        self.settings = settings
        self.flags = flags
        self._isolation = isolation

    def run(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        readable: Sequence[Path] = (),
        limits: Limits | None = None,
    ) -> Finished:
        """Run a compiler in `folder`, the only place that it may write.

        Parameters
        ----------
        command
            Program and arguments.
        folder
            Where it runs.
        readable
            Folders that it may read, besides those of the toolchain.
        limits
            In place of the limits of every compilation.

        Raises
        ------
        BuildError
            It took too long or too much memory.
        """
        limits = limits or self.limits
        shown = (self.toolchain.cuda, self.toolchain.tvm_ffi, *readable)
        mounts = Mounts(readable=shown, writable=(folder,), folder=folder)
        process = HeldProcess(command, isolation=self._isolation, limits=limits, mounts=mounts, home=folder)
        with process:
            try:
                return process.wait(limits.wall_seconds)
            except ProcessFailedError as error:
                if error.state is ExitState.TIMEOUT:
                    late = f"the compilation did not end within {limits.wall_seconds:g} s"
                    raise BuildError(BuildErrorKind.TIMEOUT, late, process.output) from error
                stopped = f"the compiler was stopped: {error.message}"
                raise BuildError(BuildErrorKind.OTHER, stopped, process.output) from error


def nvcc_flags(*archs: str, standard: str = "c++17") -> tuple[str, ...]:
    """Return the flags of every nvcc build, paths left out.

    For each architecture machine code for the real card and PTX, uncompressed, for the simulated one; line information
    for diagnostics; what PyTorch passes for extensions (constexpr host functions in kernels); host code at -O1, since
    it only launches and optimising it costs more than it gains.
    """
    targets = [(arch, virtual_arch(arch)) for arch in archs]
    codes = [part for arch, virtual in targets for part in ("-gencode", f"arch={virtual},code=[{arch},{virtual}]")]
    return (
        *(*codes, "--no-compress", "-lineinfo", f"-std={standard}", "--expt-relaxed-constexpr"),
        *("-Xcompiler", "-O1,-fPIC", "-Xptxas", "-v", "-shared", "-Xlinker", "--no-undefined"),
    )


def virtual_arch(arch: str) -> str:
    """Return the architecture of the PTX that a real one is assembled from: `compute_90` for `sm_90`."""
    return arch.replace("sm_", "compute_")


def link_flags(toolchain: Toolchain) -> tuple[str, ...]:
    """Return how a shared object is linked: to the runtime's shared library, so that a stand-in can take its place."""
    return ("-cudart", "none", "-Xlinker", str(toolchain.cudart), "-ccbin", str(toolchain.gxx))
