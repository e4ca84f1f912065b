"""What single source lines of a candidate cost in a launch on a simulated device."""

from __future__ import annotations

from tasks.values import Value


class SourceLine(Value):
    """What one source line executed, scaled to the whole grid where only a sample of blocks ran."""

    file: str
    """File name without folders."""
    line: int
    """Line number."""
    instructions: int
    """Warp instructions."""
    classes: tuple[tuple[str, int], ...] = ()
    """The same by class: `fp32`, `global_load`, ..."""
    active_lanes: float
    """Mean number of active lanes, 0 to 32."""
    unique_bytes: int | None = None
    """Distinct bytes of global memory that it touched, in whole sectors; None where it touched none."""
    global_requests: int
    """Warp-wide loads and stores of global memory."""
    global_sectors: int
    """Sectors of 32 bytes that they touch."""
    global_bytes: int
    """Bytes that the lanes asked for."""
    shared_requests: int
    """Warp-wide accesses to shared memory."""
    shared_conflicts: int
    """Extra passes over the banks."""
    local_bytes: int
    """Bytes of local memory that the lanes asked for."""
    atomic_lanes: int
    """Atomic operations, each lane's by itself."""
    atomic_contention: int
    """Most lanes of one warp-wide atomic that met at one address."""
    divergent_branches: int
    """Branches at which lanes of a warp parted."""
    barriers: int
    """Barriers that warps arrived at."""


class Hotspot(Value):
    """The line on which a launch loses most in one way."""

    kind: str
    """`uncoalesced`, `bank_conflicts`, `divergence` or `atomic_contention`."""
    file: str
    """File name without folders."""
    line: int
    """Line number."""
    message: str
    """The figures, in words."""
