"""What the process of a Python candidate says: operators that PyTorch ran, kernels compiled, extensions wanted.

The candidate shares that process, so all of this is evidence, never proof; `docs/sandbox.md` says what it can forge.
"""

from __future__ import annotations

from enum import StrEnum

from tasks.values import Value


class HostOpKind(StrEnum):
    """What an operator that PyTorch ran during a call did with values."""

    MOVEMENT = "movement"
    """It copied values or changed their type or layout."""
    COMPUTE = "compute"
    """It computed values: work that no kernel of the candidate did."""
    TO_HOST = "to_host"
    """It brought a tensor of the card to the host, where anything could compute on it."""


class HostOp(Value):
    """One operator of PyTorch that touched values during a call, and where the candidate called it."""

    name: str
    """For instance `aten.mm.default`."""
    kind: HostOpKind
    """What it did."""
    nbytes: int
    """Bytes of its results, all of its calls together."""
    count: int
    """How often it was called from that line."""
    line: int | None
    """Line of the candidate's source, None when no frame of it was on the stack."""


class Specialisation(Value):
    """One compilation of a Triton kernel, for one set of argument types and constants."""

    kernel: str
    """Name of the kernel."""
    signature: str
    """Argument types and constants, as Triton spells them."""
    num_warps: int
    """Warps per block."""
    num_stages: int
    """Stages of software pipelining that were asked for."""
    registers: int
    """Registers per thread that ptxas chose."""
    shared: int
    """Bytes of shared memory per block."""
    ptx_hash: str
    """SHA-256 of the PTX, hexadecimal."""
    ptx: str = ""
    """PTX; sent with the first call after the compilation, empty after that and in verdicts."""
    seconds: float
    """Wall seconds of the compilation."""


class ExtensionRequest(Value):
    """A CUDA extension that a `modelnew` candidate wants, as it called `load_inline` or `load`."""

    name: str
    """Name of the extension, as the candidate calls it."""
    source: str
    """CUDA and C++ sources, one after the other."""
    functions: tuple[str, ...]
    """Host functions that Python calls."""
    flags: tuple[str, ...] = ()
    """Compiler flags."""
