"""What is built and run: candidates, builds, devices, and the outcome of one sandboxed run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import field_validator

from sandbox.evidence import HostOp, Specialisation
from sandbox.layouts import Layout
from sandbox.source_lines import Hotspot, SourceLine
from tasks.errors import CandidateError
from tasks.values import DType, Value


class Language(StrEnum):
    """Languages that a candidate may be written in."""

    CUDA = "cuda"
    """One `.cu` in the PyTorch extension style, with a host `forward` or `backward`."""
    RAW = "raw"
    """Device code only, with a launch specification; built with NVRTC."""
    TRITON = "triton"
    """One Python file with `@triton.jit` kernels and a host function; compiled as its kernels are launched."""
    MODELNEW = "modelnew"
    """One Python file with `class ModelNew(nn.Module)`, its kernels inline CUDA extensions or Triton."""

    @property
    def is_python(self) -> bool:
        """Whether the host code is Python over PyTorch's tensors."""
        return self in {Language.TRITON, Language.MODELNEW}


MODEL_CLASS = "ModelNew"
"""Class that a `modelnew` candidate defines."""


class SourceFile(Value):
    """One file of a candidate."""

    name: str
    """File name without folders, for instance `kernel.cu`."""
    text: str
    """Contents."""

    @field_validator("text")
    @classmethod
    def _is_unicode(cls, text: str) -> str:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"the text cannot be written as UTF-8: {error.reason}") from error
        return text


class Candidate(Value):
    """A proposed kernel, as source."""

    language: Language
    """What `files` are written in."""
    files: tuple[SourceFile, ...]
    """`cuda`: one `.cu`. `raw`: one `.cu` and `launch.toml`. `triton` and `modelnew`: one `.py`."""
    entry: str = "forward"
    """Host function to call: `forward` or `backward` (`cuda`, `triton`); informative for the others."""

    @property
    def content_hash(self) -> str:
        """SHA-256 over language, entry and files, hexadecimal."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class KernelResources(Value):
    """What ptxas reports for one kernel."""

    kernel: str
    """Mangled device name."""
    arch: str = ""
    """Real architecture that these figures are of, for instance `sm_90`."""
    registers: int
    """Registers per thread."""
    spill_stores: int = 0
    """Bytes of spill stores per thread."""
    spill_loads: int = 0
    """Bytes of spill loads per thread."""
    stack: int = 0
    """Bytes of stack frame per thread."""
    static_shared: int = 0
    """Bytes of static shared memory per block."""
    constant: int = 0
    """Bytes of constant memory, kernel parameters included."""


class HeaderKind(StrEnum):
    """Whose headers a source in the PyTorch extension style is compiled against."""

    LIGHT = "light"
    """Ours: seconds, and nothing in them computes."""
    FULL = "full"
    """PyTorch's own: a minute or more."""


class HeaderAttempt(Value):
    """One compilation of a build that tried several kinds of headers."""

    headers: HeaderKind
    """What it was compiled against."""
    seconds: float
    """Wall seconds."""
    failure: str = ""
    """The line that failed it; empty for the attempt that made the build."""


class BuildWarning(Value):
    """One warning of a compiler."""

    file: str | None = None
    """Source file, when the compiler names one."""
    line: int | None = None
    """Source line."""
    message: str
    """What it says."""


class Build(Value):
    """A candidate made loadable."""

    candidate_hash: str
    """`Candidate.content_hash` of what was built."""
    language: Language
    """Language of the candidate."""
    entry: str
    """Host function to call."""
    arch: str
    """Real architecture, for instance `sm_90`."""
    more_archs: tuple[str, ...] = ()
    """Further architectures that the library holds machine code for."""
    folder: Path
    """Folder of the artefacts in the build cache."""
    library: str | None
    """File name of the shared object in `folder` (`cuda`), None for `raw`."""
    ptx: str | None
    """File name of the PTX in `folder`; None where kernels are compiled as they are launched."""
    toolchain: str
    """Compiler names and versions."""
    flags: tuple[str, ...]
    """Compiler flags."""
    log: str
    """What the compilers printed."""
    kernels: tuple[KernelResources, ...]
    """Resources of each kernel, for each architecture."""
    warnings: tuple[BuildWarning, ...] = ()
    """What the compilers warned of."""
    headers: HeaderKind | None = None
    """`cuda`: whose headers the source was compiled against."""
    attempts: tuple[HeaderAttempt, ...] = ()
    """`cuda`: every compilation that it took, the last one being this build."""
    sass: str | None = None
    """File name of the machine code's listing in `folder`, where a disassembler is installed."""
    seconds: float
    """Wall seconds of the compilation, also when it came from the cache."""
    cached: bool
    """Whether this build came from the cache."""
    source: str | None = None
    """File name of the Python file in `folder` (`triton`, `modelnew`)."""
    jit: tuple[str, ...] = ()
    """Names of the Triton kernels that the source defines; `Execution.specialisations` tells what became of them."""


class BuildErrorKind(StrEnum):
    """Why a build failed."""

    SYNTAX = "syntax"
    MISSING_HEADER = "missing_header"
    UNDECLARED = "undeclared"
    TYPE_MISMATCH = "type_mismatch"
    RESOURCES = "resources"
    PTXAS = "ptxas"
    LINK = "link"
    ARCHITECTURE = "architecture"
    """The source needs a newer architecture than it is built for."""
    TIMEOUT = "timeout"
    SPEC = "spec"
    """The launch specification or the candidate's shape (files, entry) is wrong."""
    FORBIDDEN = "forbidden"
    """The source takes in files of the machine that it is built on."""
    OTHER = "other"


class BuildError(CandidateError):
    """The candidate does not build.

    Parameters
    ----------
    kind
        Class of the failure.
    summary
        The few lines that matter, with file and line.
    log
        Everything that the compiler printed.
    """

    def __init__(self, kind: BuildErrorKind, summary: str, log: str) -> None:
        super().__init__(summary)
        self.kind = kind
        self.summary = summary
        self.log = log


class DeviceKind(StrEnum):
    """A real GPU or the simulated one."""

    CUDA = "cuda"
    SIM = "sim"


class Device(Value):
    """Where candidates run."""

    kind: DeviceKind
    """Real or simulated."""
    model: str
    """`sim`: card name (`h100`, `h200`, `a100`, `l4`, `rtx4090`). `cuda`: the driver's device name."""
    index: int = 0
    """`cuda`: device ordinal."""
    arch: str
    """Real architecture to build for, for instance `sm_90`."""

    @property
    def name(self) -> str:
        """The spelling that the command line takes: `sim:h100` or `cuda:0`."""
        return f"sim:{self.model}" if self.kind is DeviceKind.SIM else f"cuda:{self.index}"

    @property
    def basis(self) -> Basis:
        """Whether times on this device are measured or modelled."""
        return Basis.MODELLED if self.kind is DeviceKind.SIM else Basis.MEASURED


class Basis(StrEnum):
    """Where a time comes from; the two are never compared with each other."""

    MEASURED = "measured"
    MODELLED = "modelled"


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor that crosses a process border: type, sizes and raw little-endian bytes, row-major without gaps."""

    dtype: DType
    shape: tuple[int, ...]
    data: bytes | bytearray | memoryview
    layout: Layout = Layout.DENSE
    """Arguments of a candidate: how the receiver lays it out in the device's memory; `data` is dense in any case."""

    def __post_init__(self) -> None:
        expected = self.dtype.itemsize
        for size in self.shape:
            expected *= size
        if len(self.data) != expected:
            msg = f"a {self.dtype} tensor of shape {self.shape} needs {expected} bytes, not {len(self.data)}"
            raise ValueError(msg)


class ExitState(StrEnum):
    """How one sandboxed call ended."""

    OK = "ok"
    COMPILE_ERROR = "compile_error"
    """A kernel that is compiled when it is launched does not compile."""
    LAUNCH_ERROR = "launch_error"
    """A launch was refused, or the host code raised (a failed TORCH_CHECK, a CUDA error)."""
    MEMORY_ERROR = "memory_error"
    """The device saw an illegal access (see diagnostics)."""
    UNSUPPORTED = "unsupported"
    """The simulated GPU lacks something that the kernel needs; named in the message."""
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"
    """The process died by a signal or an unexpected exit."""
    UNFINISHED = "unfinished"
    """The call returned before its work was done: its results are written to by what nobody waits for."""


class Diagnostic(Value):
    """One thing that the device saw, with its place."""

    kind: str
    """For instance `out_of_bounds`, `divergent_barrier`, `deadlock`, `misaligned`."""
    kernel: str
    """Demangled or mangled kernel name."""
    file: str | None = None
    """Source file, when line information is there."""
    line: int | None = None
    """Source line."""
    block: tuple[int, int, int] | None = None
    """Block index."""
    thread: tuple[int, int, int] | None = None
    """Thread index in the block."""
    message: str
    """One sentence: the access, its address and size, and the allocation that it belongs to."""


class Launch(Value):
    """One kernel launch, as the device saw it."""

    kernel: str
    """Kernel name."""
    grid: tuple[int, int, int]
    """Blocks per dimension."""
    block: tuple[int, int, int]
    """Threads per dimension."""
    dynamic_shared: int
    """Bytes of dynamic shared memory."""
    microseconds: float | None = None
    """Simulated device with counters on: the modelled time of this launch."""
    counters: dict[str, float] = {}
    """Simulated device with counters on: what the cost model read (see `simgpu.counters`)."""
    limiter: str | None = None
    """Simulated device: what bounds the modelled time (`dram`, `compute`, `latency`, `launch`, ...)."""
    lines: tuple[SourceLine, ...] = ()
    """Simulated device with counters on: the source lines that cost most, in order of the source."""
    hotspots: tuple[Hotspot, ...] = ()
    """Simulated device with counters on: the worst line of each kind of loss."""


class Limits(Value):
    """What one sandboxed process may use."""

    wall_seconds: float = 60.0
    """Per call; expiry kills the whole process group."""
    cpu_seconds: int = 600
    """Over the process's life."""
    memory_bytes: int = 6 << 30
    """Resident memory (address space cannot be bounded: CUDA and simgpu reserve it)."""
    file_bytes: int = 1 << 30
    """Largest file that the process may write."""
    processes: int = 256
    """Threads and processes together."""
    descriptors: int = 1024
    """Open files of one process."""
    temporary_bytes: int = 512 << 20
    """Size of each private temporary folder."""
    disk_bytes: int = 4 << 30
    """What the folders that it may write on the host's disk may grow to, together."""
    files: int = 50_000
    """Files and folders in each private temporary folder, and in all that it may write on the host's disk."""


@dataclass(frozen=True, slots=True)
class Execution:
    """The outcome of one call of a candidate."""

    state: ExitState
    message: str = ""
    outputs: tuple[Tensor, ...] = ()
    arguments_after: tuple[Tensor, ...] = ()
    """The arguments as they were after the call, to see mutation; empty when not asked for."""
    diagnostics: tuple[Diagnostic, ...] = ()
    launches: tuple[Launch, ...] = ()
    seconds: float = 0.0
    """Wall seconds of the call."""
    samples_us: tuple[float, ...] = ()
    """Microseconds per timed repetition: measured on a GPU, one modelled figure on a simulated device."""
    host_ops: tuple[HostOp, ...] = ()
    """Python candidates: what PyTorch did during the call beyond allocating and viewing."""
    specialisations: tuple[Specialisation, ...] = ()
    """Triton kernels compiled so far in the candidate's process."""
    kernels: tuple[KernelResources, ...] = ()
    """Kernels of the extensions that the candidate had built since it was loaded (`modelnew`)."""
    context_lost: bool = False
    """Whether the call ended the device's context, or on a simulated device: would have ended a card's."""
    watched: bool = True
    """Whether the device told what was launched; some drivers keep that to administrators."""


@dataclass(frozen=True, slots=True)
class ReferenceResult:
    """What one run of the reference gave."""

    outputs: tuple[Tensor, ...]
    """Forward: the results. Backward: the listed gradients."""
    saved: tuple[Tensor, ...] = ()
    """Backward: the tensors that the candidate is given, in the task's dtypes."""
    output_gradients: tuple[tuple[DType, tuple[int, ...]], ...] = ()
    """Backward: dtype and shape of each forward result, so that gradients can be drawn for it."""
    seconds: float = 0.0


class Finding(Value):
    """One thing that a machine has or lacks, as `kernelwright doctor` and `/api/health` show it."""

    name: str
    """Part, for instance `nvcc`, `gpu`, `database`."""
    ok: bool
    """Whether it is there and works."""
    detail: str
    """Version or place, or what is wrong."""
    remedy: str = ""
    """What to do about it; empty when `ok`."""
    required: bool = True
    """Whether Kernelwright cannot work without it (a GPU, for instance, is not required)."""
