"""What a task is: the values that every other room reads. All frozen; one definition each."""

from __future__ import annotations

import hashlib
from enum import StrEnum

from pydantic import Field, JsonValue

from tasks.domains import Domain, DomainKind
from tasks.properties import OutputProperty, PropertyKind
from tasks.record import Value
from tasks.tensors import DType, InputSpec, Role, Size, TensorEntry

__all__ = [
    "Axis",
    "CallItem",
    "Construction",
    "DType",
    "Direction",
    "Domain",
    "DomainKind",
    "EagerOp",
    "Family",
    "HyperParameter",
    "InputSpec",
    "Outline",
    "OutputProperty",
    "OutputShape",
    "Precision",
    "ProbeResult",
    "ProbedSizes",
    "PropertyKind",
    "Provenance",
    "Purpose",
    "ReferenceForm",
    "Role",
    "Size",
    "Task",
    "TensorEntry",
    "Tolerance",
    "Value",
    "Visibility",
    "Workload",
]


class Direction(StrEnum):
    """Which of the op's two computations a task asks for."""

    FORWARD = "forward"
    BACKWARD = "backward"


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
    stated: tuple[ProbedSizes | None, ...] = ()
    """The sizes that were asked for, in order; None where they make another op of the source or do not run."""
    unread: tuple[str, ...] = ()
    """Inputs whose values change no result beyond rounding; when it is all of them, the op is degenerate."""


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
    url: str = ""
    """Where to read more: a paper's or a repository's address; may be empty."""


class Family(StrEnum):
    """What kind of op a task is; the catalogue is ordered by it."""

    POINTWISE = "pointwise"
    """Pointwise ops and chains of them."""
    REDUCTION = "reduction"
    """Reductions, scans, sorts, top-k."""
    NORM = "norm"
    """Normalisations."""
    SOFTMAX = "softmax"
    """Softmax and losses."""
    MATMUL = "matmul"
    """Matrix products with epilogues, grouped or quantised."""
    CONVOLUTION = "convolution"
    """Convolutions."""
    ATTENTION = "attention"
    """Attention."""
    EXPERTS = "experts"
    """Mixture of experts: routing and grouped products."""
    KAN = "kan"
    """Kolmogorov-Arnold networks: rational and spline activations."""
    SPARSE = "sparse"
    """Sparse matrices."""
    CLUSTERING = "clustering"
    """Clustering and distances."""
    QUANTIZATION = "quantization"
    """Quantisation and its scales."""
    GRAPH = "graph"
    """Message passing on graphs and segments."""
    EMBEDDING = "embedding"
    """Embeddings and rotary positions."""
    OPTIMIZER = "optimizer"
    """Optimiser steps."""
    RANDOM = "random"
    """Dropout and its like, with the random part given."""
    OTHER = "other"
    """None of these, or not stated."""


class HyperParameter(Value):
    """A constant of the reference that is part of the op: shown, and never varied."""

    name: str
    """Name of the module-level constant."""
    value: bool | int | float | str
    """Its value in the source."""
    meaning: str = ""
    """One line in plain words; may be empty."""


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
    tensors: tuple[TensorEntry, ...] = ()
    """How the reference's tensors follow the axes; empty where that is not known."""
    saved: tuple[str, ...] = ()
    """Backward only: tensors that the candidate receives after the output gradients; names of inputs,
    parameters or buffers, or `output` / `output.N` for the forward result."""
    gradients: tuple[str, ...] = ()
    """Backward only: inputs and parameters whose gradients the candidate returns, in this order."""
    tolerance: Tolerance | None = None
    """Override of the calibrated tolerance."""
    properties: tuple[OutputProperty, ...] = ()
    """What outputs must satisfy that are not compared with the oracle's numbers."""
    constraints: tuple[str, ...] = ()
    """Relations between axes that legal sizes fulfil, for instance `heads % kv_heads == 0`."""
    hyperparameters: tuple[HyperParameter, ...] = ()
    """Constants of the source that are part of the op."""
    flops: Size | None = None
    """Floating-point operations over the axes; counted from eager PyTorch's operators where left out."""
    family: Family = Family.OTHER
    """What kind of op it is."""
    formula: str = ""
    """What it computes, as plain text or LaTeX; may be empty."""
    why: str = ""
    """Why it is worth a kernel of its own; may be empty."""
    provenance: Provenance = Provenance(origin="user", licence="unknown")
    """Origin and licence."""

    @property
    def content_hash(self) -> str:
        """SHA-256 over the whole task, hexadecimal; two tasks with the same hash are the same task.

        Fields that have their default are left out, so that tasks keep their hash when the format gains a field.
        """
        return hashlib.sha256(self.model_dump_json(exclude_defaults=True).encode()).hexdigest()

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
    TEXTBOOK = "textbook"
    """As the task states it, but expm1, log1p, tanh, elu, softplus and their kin written out by exp and log."""
    SCATTERED = "scattered"
    """As the oracle, every operator's results multiplied by random factors about 1: what sums amount to that cancel."""


class OutputShape(Value):
    """Type and sizes of one forward result."""

    dtype: DType
    """Element type."""
    shape: tuple[int, ...]
    """Sizes; () is a scalar tensor."""


class Outline(Value):
    """What a reference reads and returns at one set of sizes."""

    tensors: tuple[InputSpec, ...]
    """Every input, parameter and buffer that the source states, with no more of a domain than the type tells."""
    outputs: tuple[OutputShape, ...]
    """Results of the forward."""


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
