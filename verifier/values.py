"""What the verifier concludes: verdicts and measurements."""

from __future__ import annotations

from enum import StrEnum

from sandbox.evidence import Specialisation
from sandbox.values import Basis, Diagnostic, Launch, Limits
from tasks.values import Value


class Status(StrEnum):
    """The conclusion of a verification; `passed` is the only one that counts as correct."""

    PASSED = "passed"
    COMPILE_ERROR = "compile_error"
    FORBIDDEN = "forbidden"
    LAUNCH_ERROR = "launch_error"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    WRONG_SHAPE = "wrong_shape"
    WRONG_DTYPE = "wrong_dtype"
    WRONG_VALUES = "wrong_values"
    MUTATED_INPUT = "mutated_input"
    NONDETERMINISTIC = "nondeterministic"
    MEMORY_ERROR = "memory_error"
    DATA_RACE = "data_race"
    CHEATING = "cheating"
    UNSUPPORTED = "unsupported"
    INFRA_ERROR = "infra_error"


class Check(Value):
    """One check at one workload."""

    name: str
    """For instance `build`, `values[normal]`, `shape`, `controls`."""
    workload: str | None = None
    """Workload name, None for checks of the candidate as a whole."""
    passed: bool
    """Whether it held."""
    status: Status | None = None
    """What a failure of this check makes of the verdict; None when it passed."""
    detail: str = ""
    """Figures and the sentence for a person."""
    public: bool = True
    """Whether a proposer may read the detail (false for hidden workloads)."""
    outputs: tuple[str, ...] = ()
    """Checks of values: SHA-256 of each output's bytes, hexadecimal, so that a replay is compared bit for bit."""


class EvidenceTier(StrEnum):
    """How much a guard finding weighs."""

    HARD = "hard"
    SUPPORT = "support"
    TELEMETRY = "telemetry"


class Evidence(Value):
    """One finding of the guard."""

    rule: str
    """Rule identifier."""
    tier: EvidenceTier
    """Weight."""
    where: str
    """File and line, or the runtime fact."""
    reason: str
    """Why it matters, in plain words."""


class Stage(StrEnum):
    """What a verification spends its time on."""

    GUARD = "guard"
    """Static rules."""
    BUILD = "build"
    """Compilers, or the cache of builds."""
    START_UP = "start_up"
    """Waiting for the processes of reference and candidate, and for the candidate's kernels to be made runnable."""
    REFERENCE = "oracle"
    """Drawing inputs and running the reference, four times for each draw."""
    CANDIDATE = "candidate"
    """Calls of the candidate."""
    JUDGEMENT = "judge"
    """Comparing outputs, and the controls."""


class Environment(Value):
    """What a verdict was made with. A replay under another one may differ, and then says in what."""

    kernelwright: str
    """Version."""
    judge: str
    """Hash of the sources of verifier, sandbox and tasks."""
    simulator: str
    """Hash of the sources of simgpu."""
    torch: str
    """Version, for the reference."""
    numpy: str
    """Version, for the inputs."""
    llvmlite: str
    """Version, for simulated kernels."""
    processor: str
    """Model of the host's processor."""
    toolchain: str = ""
    """Compilers; empty when nothing was built."""


class Verdict(Value):
    """Everything that one verification found."""

    status: Status
    """The conclusion."""
    task_hash: str
    """`Task.content_hash`."""
    candidate_hash: str
    """`Candidate.content_hash`."""
    device: str
    """Device name, for instance `sim:h100`."""
    seed: int
    """The secret seed: with the same task, candidate and device it replays the verdict."""
    checks: tuple[Check, ...]
    """Every check that ran, in order."""
    evidence: tuple[Evidence, ...] = ()
    """Guard findings."""
    diagnostics: tuple[Diagnostic, ...] = ()
    """What the device saw."""
    seconds: dict[Stage, float] = {}
    """Wall seconds by stage."""
    isolation: str = "not recorded"
    """How untrusted code was held during this verdict."""
    limits: Limits | None = None
    """What each of the two child processes could use."""
    environment: Environment | None = None
    """What it was made with; None in verdicts from before this was recorded."""
    specialisations: tuple[Specialisation, ...] = ()
    """Triton kernels that were compiled meanwhile, as the candidate's process says; without the PTX."""

    @property
    def passed(self) -> bool:
        """Whether the candidate is accepted."""
        return self.status is Status.PASSED


class WorkloadTiming(Value):
    """Timing of one bench workload."""

    workload: str
    """Workload name."""
    samples_us: tuple[float, ...]
    """Microseconds per repetition; one modelled figure on a simulated device."""
    median_us: float
    """Median of the samples, microseconds."""
    baseline_us: float
    """Eager PyTorch on the same device, same basis, microseconds."""
    baseline_samples_us: tuple[float, ...] = ()
    """GPU: microseconds per repetition of eager PyTorch, whose median is `baseline_us`."""
    floor_us: float
    """Physical floor, microseconds: nothing is faster, data left in L2 and tensor cores included."""
    speedup: float
    """baseline_us / median_us."""
    roofline_fraction: float
    """Roofline time (bytes over DRAM bandwidth, operations over the type's usual rate) / median_us."""
    launches: tuple[Launch, ...] = ()
    """What was launched, with counters on a simulated device."""


class Measurement(Value):
    """Timing of one candidate over the task's bench workloads."""

    basis: Basis
    """`measured` or `modelled`; never mixed in a ranking."""
    device: str
    """Device name."""
    fingerprint: str
    """Device model, driver or cost-model version, clocks: what must match for two figures to compare."""
    candidate_hash: str
    """`Candidate.content_hash`."""
    timings: tuple[WorkloadTiming, ...]
    """One per bench workload."""
    speedup: float
    """Weighted geometric mean of the workloads' speed-ups over eager."""
    speedup_interval: tuple[float, float] | None = None
    """95% confidence interval; None for a modelled figure, which has no sampling error."""
    baseline: str = "eager"
    """What `baseline_us` stands for."""
