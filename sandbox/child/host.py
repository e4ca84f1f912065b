"""The seam between the host side of a candidate and the simulated card: what one run gives, what the card saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from sandbox.evidence import HostOp, Specialisation
from sandbox.values import Tensor
from simgpu import LaunchOptions
from simgpu.report import Diagnostic, LaunchReport
from tasks.values import Construction


class HostError(Exception):
    """The candidate's host code returned something that is no tensor of the card."""


class KernelCompileError(HostError):
    """A kernel that is compiled when it is launched does not compile."""


@dataclass(frozen=True, slots=True)
class HostRun:
    """What one run of the host side gave, whatever the card saw meanwhile."""

    outputs: tuple[Tensor, ...] = ()
    arguments_after: tuple[Tensor, ...] = ()
    error: Exception | None = None
    """What the host code raised."""
    late: str = ""
    """Which result was written to after the call had returned; empty where none was."""


@dataclass(frozen=True, slots=True)
class CardLog:
    """What a card saw during one run."""

    launches: tuple[LaunchReport, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    refusals: tuple[str, ...] = ()
    """Calls that the runtime refused."""
    missing: tuple[str, ...] = ()
    """What the simulator lacks."""
    unjoined: int = 0
    """Streams whose work neither the caller's stream nor the host has waited for."""
    microseconds: float = 0.0
    """Modelled time of the whole run, when counters were on."""
    host_ops: tuple[HostOp, ...] = ()
    """What PyTorch did with values, where the host code is Python."""
    specialisations: tuple[Specialisation, ...] = ()
    """Triton kernels compiled so far."""


class Host(Protocol):
    """Runs a candidate's host side on a card."""

    def run(self, arguments: Sequence[Tensor], options: LaunchOptions) -> HostRun:
        """Copy the arguments to new addresses, call the entry, copy the results back."""

    def log(self) -> CardLog:
        """Return what the card saw during the last run."""


@runtime_checkable
class ConstructedHost(Host, Protocol):
    """A host whose entry is the method of an object that is constructed for each call."""

    def construct_like(self, construction: Construction | None) -> None:
        """Take this construction for the next call."""
