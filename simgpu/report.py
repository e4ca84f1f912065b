"""What a launch on the simulated GPU reports: diagnostics and counters."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from simgpu.specs import SECTOR_BYTES

Dim3 = tuple[int, int, int]


class DiagnosticKind(StrEnum):
    """Faults that the simulated GPU recognises."""

    OUT_OF_BOUNDS = "out_of_bounds"
    MISALIGNED = "misaligned"
    USE_AFTER_FREE = "use_after_free"
    DIVERGENT_BARRIER = "divergent_barrier"
    DEADLOCK = "deadlock"
    RUNAWAY = "runaway"
    """The instruction budget was used up."""
    DATA_RACE_SHARED = "data_race_shared"
    """Warps of a block use the same shared memory, one of them to write, with no barrier in between."""
    DATA_RACE_COPY = "data_race_copy"
    """Shared memory is read before the asynchronous copy into it has been waited for."""
    DATA_RACE_GLOBAL = "data_race_global"
    """Blocks of a launch use the same global memory, one of them to write, and nothing orders the two."""
    UNINITIALISED_SHARED = "uninitialised_shared"
    UNINITIALISED_LOCAL = "uninitialised_local"
    UNINITIALISED_GLOBAL = "uninitialised_global"
    OUTSIDE_MEMBER_MASK = "outside_member_mask"
    """A thread executes a `.sync` instruction of the warp whose member mask does not name it."""
    TRAP = "trap"
    ASSERTION = "assertion"
    """A device `assert` that failed."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One fault and its place.

    `file` and `line` come from the PTX line information (nvcc -lineinfo) and are None without it;
    `ptx_line` is always known. `thread` is the first faulting lane's index in its block.
    """

    kind: DiagnosticKind
    kernel: str
    message: str
    ptx_line: int
    file: str | None = None
    line: int | None = None
    block: Dim3 | None = None
    thread: Dim3 | None = None
    address: int | None = None
    allocation: str | None = None


@dataclass(slots=True)
class Counters:
    """Events of one launch, scaled to the whole grid when only a sample of blocks ran.

    Instruction counts are warp instructions; `thread_*` counts are per active lane. A sector is 32 bytes of
    global memory, a request is one warp-wide access. Bank conflicts are extra shared-memory passes.
    """

    instructions: dict[str, int] = field(default_factory=dict)
    """Warp instructions by class: int, fp16, fp32, fp64, special, convert, move, control, global_load,
    global_store, shared_load, shared_store, local, atomic, shuffle, barrier, tensor, other."""
    thread_instructions: int = 0
    thread_flops: dict[str, int] = field(default_factory=dict)
    """Floating-point operations by type (fp16, fp32, fp64; fused multiply-add counts two), `special`, and on
    tensor cores `tensor_fp16`, `tensor_tf32`, `tensor_fp64`, `tensor_int8` (4- and 1-bit ones too), `tensor_fp8`."""
    global_load_requests: int = 0
    global_load_sectors: int = 0
    global_load_bytes: int = 0
    """Bytes that the lanes asked for."""
    global_store_requests: int = 0
    global_store_sectors: int = 0
    global_store_bytes: int = 0
    unique_read_bytes: int = 0
    """Distinct bytes of global memory read, in whole sectors: the least that DRAM must deliver."""
    unique_written_bytes: int = 0
    shared_requests: int = 0
    shared_conflicts: int = 0
    local_bytes: int = 0
    atomic_requests: int = 0
    atomic_lanes: int = 0
    atomic_contention: int = 0
    """Most lanes of one request that met at one address."""
    barriers: int = 0
    divergent_branches: int = 0
    branches: int = 0


class Limiter(StrEnum):
    """What bounds the modelled time of a launch."""

    LAUNCH = "launch"
    """The overhead of launching outweighs the work."""
    DRAM = "dram"
    L2 = "l2"
    LOAD_STORE = "load_store"
    """Sectors through the SMs' load and store units."""
    COMPUTE = "compute"
    """Instruction issue, or the busiest arithmetic pipe."""
    SHARED = "shared"
    """Shared-memory passes, bank conflicts included."""
    ATOMIC = "atomic"
    LATENCY = "latency"
    """Too few warps to hide the latency of a thread's own chain of work."""
    DISPATCH = "dispatch"
    """So many blocks that giving them out to the SMs takes longer than their work: let each do more."""


@dataclass(frozen=True, slots=True)
class TimeBreakdown:
    """What each part of the card would take by itself, in microseconds."""

    launch: float
    dram: float
    l2: float
    load_store: float
    compute: float
    shared: float
    atomic: float
    latency: float
    dispatch: float


@dataclass(frozen=True, slots=True)
class ModelledLaunch:
    """The cost model's estimate of one launch (`simgpu.cost.model_launch`)."""

    microseconds: float
    limiter: Limiter
    occupancy: float
    """Resident warps over the most that an SM holds, 0 to 1."""
    breakdown: TimeBreakdown


@dataclass(frozen=True, slots=True)
class LineCounters:
    """What one source line executed, scaled like `Counters`."""

    file: str
    line: int
    instructions: int = 0
    """Warp instructions."""
    thread_instructions: int = 0
    """The same, for each active lane."""
    classes: tuple[tuple[str, int], ...] = ()
    """Warp instructions by class, as in `Counters.instructions`."""
    unique_bytes: int | None = None
    """Distinct bytes of global memory that it touched, in whole sectors; None where it touched none, or where memory in
    use and lines are too many to keep apart."""
    global_requests: int = 0
    """Warp-wide loads and stores of global memory; atomics are counted by themselves."""
    global_sectors: int = 0
    global_bytes: int = 0
    """Bytes that the lanes asked for."""
    shared_requests: int = 0
    shared_conflicts: int = 0
    """Extra passes over the banks."""
    local_bytes: int = 0
    atomic_requests: int = 0
    atomic_lanes: int = 0
    atomic_contention: int = 0
    """Most lanes of one request that met at one address; not scaled."""
    divergent_branches: int = 0
    barriers: int = 0

    @property
    def active_lanes(self) -> float:
        """Mean number of active lanes, 0 to 32: less than 32 where lanes diverge."""
        return self.thread_instructions / self.instructions if self.instructions else 0.0

    @property
    def sectors_per_request(self) -> float:
        """Mean sectors of a global request: 4 when a full warp's 4-byte accesses are consecutive, at most 32 apart."""
        return self.global_sectors / self.global_requests if self.global_requests else 0.0

    @property
    def wasted_sectors(self) -> int:
        """Sectors beyond those that the same bytes, side by side, would take."""
        return max(self.global_sectors - -(-self.global_bytes // SECTOR_BYTES), 0)


@dataclass(frozen=True, slots=True)
class LaunchReport:
    """The outcome of one launch."""

    kernel: str
    grid: Dim3
    block: Dim3
    dynamic_shared: int
    diagnostics: tuple[Diagnostic, ...]
    """Empty when nothing was wrong."""
    counters: Counters | None
    """None unless counters were asked for."""
    blocks_run: int
    """Fewer than the grid's blocks when only a sample was asked for."""
    seconds: float
    """Wall seconds of the execution, compilation left out."""
    printed: str = ""
    """What the kernel's `printf` wrote, worker after worker."""
    modelled: ModelledLaunch | None = None
    """The modelled time on the card; None unless counters were asked for and a card was given."""

    lines: tuple[LineCounters, ...] = ()
    """Counts by source line, by file and line; empty without counters or without line information."""

    @property
    def ok(self) -> bool:
        """Whether the launch ran without a fault."""
        return not self.diagnostics
