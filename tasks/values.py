"""What a task is: the values that every other room reads. All frozen; one definition each."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator


class Value(BaseModel):
    """Base of the frozen values: immutable, closed to unknown fields, documented by attribute docstrings."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DType(StrEnum):
    """Element types that tasks and candidates exchange (names as in torch and NumPy)."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    INT64 = "int64"
    INT32 = "int32"
    INT16 = "int16"
    INT8 = "int8"
    UINT8 = "uint8"
    BOOL = "bool"

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return _ITEMSIZE[self]

    @property
    def is_floating(self) -> bool:
        """Whether elements are floating-point numbers."""
        return self in _FLOATING


_ITEMSIZE = {
    DType.FLOAT64: 8,
    DType.FLOAT32: 4,
    DType.FLOAT16: 2,
    DType.BFLOAT16: 2,
    DType.INT64: 8,
    DType.INT32: 4,
    DType.INT16: 2,
    DType.INT8: 1,
    DType.UINT8: 1,
    DType.BOOL: 1,
}
_FLOATING = frozenset({DType.FLOAT64, DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16})


class Direction(StrEnum):
    """Which of the op's two computations a task asks for."""

    FORWARD = "forward"
    BACKWARD = "backward"


class Role(StrEnum):
    """Where a reference tensor comes from; the order below is a forward candidate's argument order."""

    INPUT = "input"
    PARAMETER = "parameter"
    BUFFER = "buffer"


class DomainKind(StrEnum):
    """Which values are legal for a tensor; the verifier draws freely within the domain."""

    REAL = "real"
    """Any finite number, both signs."""
    POSITIVE = "positive"
    """Strictly positive numbers, for instance variances and scales."""
    PROBABILITY = "probability"
    """Numbers in [0, 1]."""
    INDEX = "index"
    """Integers in [0, high)."""
    MASK = "mask"
    """0/1 or False/True."""


class Domain(Value):
    """The legal values of one tensor."""

    kind: DomainKind = DomainKind.REAL
    """The family of values."""
    high: int | None = None
    """Exclusive upper bound; required for `index`, meaningless elsewhere."""

    @model_validator(mode="after")
    def _index_has_bound(self) -> Self:
        if (self.kind is DomainKind.INDEX) != (self.high is not None):
            msg = "a domain of kind 'index' needs 'high', and no other kind takes it"
            raise ValueError(msg)
        return self


class InputSpec(Value):
    """One tensor that the reference reads, with concrete sizes."""

    name: str
    """Parameter name in the reference's forward, or the dotted name of a parameter or buffer."""
    shape: tuple[int, ...]
    """Sizes; () is a scalar tensor."""
    dtype: DType
    """Element type."""
    domain: Domain = Domain()
    """Legal values."""
    role: Role = Role.INPUT
    """Input, parameter or buffer."""

    @property
    def nbytes(self) -> int:
        """Size of the dense tensor in bytes."""
        count = 1
        for size in self.shape:
            count *= size
        return count * self.dtype.itemsize


class Visibility(StrEnum):
    """Whether the proposer may see a workload."""

    PUBLIC = "public"
    HIDDEN = "hidden"


class Purpose(StrEnum):
    """What a workload is for: checking values, or timing."""

    VERIFY = "verify"
    BENCH = "bench"


class Workload(Value):
    """One concrete set of sizes at which an op is verified or timed."""

    name: str
    """Unique within the task, for instance `public-0` or `rows=7,cols=129`."""
    axes: dict[str, int]
    """Axis name to size; the reference source is instantiated with these (see `Task.axes`)."""
    inputs: tuple[InputSpec, ...]
    """The reference's tensors at these sizes: inputs, then parameters, then buffers."""
    visibility: Visibility = Visibility.PUBLIC
    """Hidden workloads are never shown to a proposer."""
    purpose: Purpose = Purpose.VERIFY
    """Verification or timing."""
    weight: float = Field(default=1.0, gt=0)
    """Share of this workload in a benchmark's summary."""
    source: str = ""
    """Where the sizes come from, for instance the model that a bench shape belongs to; may be empty."""


class Axis(Value):
    """A named size of the task: a module-level integer constant of the source, or a dimension of the inputs."""

    name: str
    """The constant's name; `x_dim0` for a dimension, `shape_0` for an element of a constant tuple."""
    default: int
    """Its value in the source."""
    low: int = 1
    """Smallest legal size."""
    high: int | None = None
    """Largest legal size, None when unbounded."""


class ReferenceForm(StrEnum):
    """How the reference source states the op."""

    MODULE = "module"
    """KernelBench style: `class Model(nn.Module)`, `get_inputs()`, `get_init_inputs()`."""
    FUNCTION = "function"
    """A plain function, and `get_inputs()` (or `example_inputs`) beside it."""


class ProbedSizes(Value):
    """One set of sizes at which the reference was seen to run."""

    axes: dict[str, int]
    """Axis name to size."""
    inputs: tuple[InputSpec, ...]
    """The reference's tensors at these sizes, as in `Workload.inputs`."""


class ProbeResult(Value):
    """What executing a reference source showed about it (see `tasks.reference.probe`)."""

    form: ReferenceForm
    """Module or function."""
    entry: str
    """Class name (module form) or function name (function form)."""
    axes: tuple[Axis, ...]
    """The sizes that may vary."""
    default: ProbedSizes
    """The sizes as the source states them."""
    varied: tuple[ProbedSizes, ...]
    """Smaller sizes, fit for verification: 1, primes, powers of two and their neighbours."""


class Tolerance(Value):
    """Bounds that replace the calibrated ones: |out - oracle| <= atol + rtol * |oracle|."""

    atol: float = Field(ge=0)
    """Absolute part, in the output's units."""
    rtol: float = Field(ge=0)
    """Relative part."""


class Provenance(Value):
    """Where a task comes from and on what terms it may be passed on."""

    origin: str
    """Suite, repository, paper, or `user`."""
    licence: str
    """SPDX identifier, or `unknown`."""


class Task(Value):
    """An op to be optimised: reference source, sizes, and what counts as the same result."""

    slug: str
    """Short identifier, `[a-z0-9_-]+`."""
    title: str
    """One line in plain words."""
    source: str
    """Python source of the reference; untrusted, executed only in a sandbox."""
    form: ReferenceForm
    """Module or function."""
    entry: str
    """Class name (module form) or function name (function form)."""
    direction: Direction = Direction.FORWARD
    """Forward, or the gradient computation."""
    axes: tuple[Axis, ...] = ()
    """Named sizes, each a module-level integer constant of `source`."""
    workloads: tuple[Workload, ...]
    """Every workload, public and hidden, verify and bench."""
    saved: tuple[str, ...] = ()
    """Backward only: tensors that the candidate receives after the output gradients; names of inputs,
    parameters or buffers, or `output` / `output.N` for the forward result."""
    gradients: tuple[str, ...] = ()
    """Backward only: inputs and parameters whose gradients the candidate returns, in this order."""
    tolerance: Tolerance | None = None
    """Override of the calibrated tolerance."""
    provenance: Provenance = Provenance(origin="user", licence="unknown")
    """Origin and licence."""

    @property
    def content_hash(self) -> str:
        """SHA-256 over the whole task, hexadecimal; two tasks with the same hash are the same task."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def workloads_for(self, purpose: Purpose, visibility: Visibility | None = None) -> tuple[Workload, ...]:
        """Return the workloads of one purpose, optionally of one visibility only."""
        return tuple(
            w for w in self.workloads if w.purpose is purpose and (visibility is None or w.visibility is visibility)
        )


class EagerOp(Value):
    """One operation that PyTorch's eager mode would launch for the reference."""

    name: str
    """Operator, for instance `aten::_softmax`."""
    shapes: tuple[tuple[int, ...], ...]
    """Shapes of its tensor arguments."""
    bytes_read: int
    """Bytes of distinct tensor arguments."""
    bytes_written: int
    """Bytes of its results."""
    flops: int
    """Floating-point operations (multiply-add counts two)."""


class Precision(StrEnum):
    """The precision in which the reference is run."""

    ORACLE = "float64"
    """Every floating tensor promoted to float64."""
    NATIVE = "native"
    """As the task states it."""
    LOWER = "lower"
    """The next lower precision (float32 -> bfloat16, ...), the result cast back."""


class CallItem(Value):
    """One positional argument of a model's call: a tensor of the workload, or a fixed value."""

    tensor: str | None = None
    """Name of an input."""
    fixed: JsonValue = None
    """Value as the source states it, where `tensor` is None."""


class Construction(Value):
    """How a task's model is constructed and called at one set of sizes; `ModelNew` is treated alike."""

    positional: tuple[JsonValue, ...] = ()
    """Arguments of the constructor."""
    named: dict[str, JsonValue] = {}
    """Keyword arguments of the constructor."""
    call: tuple[CallItem, ...]
    """Positional arguments of the call."""
    inputs: tuple[str, ...]
    """Names of the input tensors, in the order in which a candidate receives them."""
    state: tuple[str, ...]
    """Names of the parameters and buffers that follow them."""
