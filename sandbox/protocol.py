"""What a parent asks of its children and what they answer: the JSON bodies of the channel's messages.

Every request carries a fresh nonce that its answer must repeat, so an answer cannot be prepared in advance or
belong to an earlier request.
"""

from __future__ import annotations

from pathlib import Path

from sandbox.evidence import ExtensionRequest, HostOp, Specialisation
from sandbox.values import Device, Diagnostic, ExitState, KernelResources, Language, Launch
from tasks.fusion import ModelSplit
from tasks.values import (
    Construction,
    EagerOp,
    InputSpec,
    Outline,
    OutputShape,
    Precision,
    ProbeResult,
    ReferenceForm,
    Value,
)


class CandidateConfig(Value):
    """What a candidate's child is started with."""

    language: Language
    entry: str
    folder: Path
    """Folder of the build."""
    library: str | None
    ptx: str | None
    kernels: tuple[KernelResources, ...]
    device: Device
    memory_bytes: int
    """Capacity of the simulated card's memory."""
    standin: Path | None
    """Simulated cards: the compiled stand-in runtime."""
    source: str | None = None
    """Python candidates: file in `folder` that is imported."""
    guard: Path | None = None
    """Python candidates on a simulated card: the compiled device guard of PyTorch."""


class CallRequest(Value):
    """Run the candidate once; the message's tensors are its arguments."""

    nonce: str
    checks: bool = True
    counters: bool = False
    schedule_seed: int | None = None
    return_arguments: bool = True
    construction: Construction | None = None


class LoadRequest(Value):
    """Load the candidate and call nothing."""

    nonce: str


class BenchRequest(Value):
    """Time the candidate; the message's tensors are `sets` equally long argument lists, one after the other."""

    nonce: str
    sets: int
    repeats: int
    construction: Construction | None = None


class CandidateRequest(Value):
    """Exactly one of the requests."""

    load: LoadRequest | None = None
    call: CallRequest | None = None
    bench: BenchRequest | None = None


class CandidateReply(Value):
    """What a candidate's child says of one request; the message's tensors are outputs, then arguments."""

    nonce: str
    state: ExitState
    message: str = ""
    outputs: int = 0
    """How many of the message's tensors are outputs."""
    diagnostics: tuple[Diagnostic, ...] = ()
    launches: tuple[Launch, ...] = ()
    seconds: float = 0.0
    samples_us: tuple[float, ...] = ()
    host_ops: tuple[HostOp, ...] = ()
    specialisations: tuple[Specialisation, ...] = ()
    context_lost: bool = False
    watched: bool = True
    wanted: ExtensionRequest | None = None
    """Not an answer yet: an extension that the candidate wants built before it goes on."""


class ExtensionAnswer(Value):
    """What came of a wanted extension; the message's one tensor is the shared object when it was built."""

    error: str = ""
    """Why there is none."""
    kernels: tuple[KernelResources, ...] = ()
    """Its kernels."""


class RunRequest(Value):
    """Run the reference; the message's tensors are `names` in order, then the output gradients."""

    axes: dict[str, int]
    names: tuple[str, ...]
    precision: Precision
    is_random: bool = False
    """Run the forward twice with other random numbers, and tell only whether the results differ."""


class EagerOpsRequest(Value):
    """List what eager PyTorch launches at these shapes."""

    axes: dict[str, int]
    inputs: tuple[InputSpec, ...]


class OutlineRequest(Value):
    """List the reference's tensors and results at these sizes, without computing where possible."""

    axes: dict[str, int]
    inputs: tuple[InputSpec, ...]


class ConstructionRequest(Value):
    """Say how the reference's model is constructed and called at these sizes."""

    axes: dict[str, int]


class TimeRequest(Value):
    """Time the reference on the GPU as eager PyTorch runs it; the message's tensors are as for `RunRequest`.

    With output gradients the backward pass alone is timed.
    """

    axes: dict[str, int]
    names: tuple[str, ...]
    repeats: int


class ReferenceRequest(Value):
    """Exactly one of the requests, on one source."""

    nonce: str
    source: str
    form: ReferenceForm | None = None
    entry: str = ""
    saved: tuple[str, ...] = ()
    gradients: tuple[str, ...] = ()
    backward: bool = False
    probe: bool = False
    stated: tuple[dict[str, int], ...] = ()
    """With `probe`: sizes to describe the tensors at, beside those of the source."""
    split: bool = False
    """Cut the op of the source into groups of operators."""
    run: RunRequest | None = None
    eager_ops: EagerOpsRequest | None = None
    construction: ConstructionRequest | None = None
    outline: OutlineRequest | None = None
    time: TimeRequest | None = None


class ReferenceReply(Value):
    """What a reference's child says; the message's tensors are outputs, then saved tensors."""

    nonce: str
    error: str = ""
    """The sentence for the user when the reference failed."""
    outputs: int = 0
    """How many of the message's tensors are outputs."""
    output_shapes: tuple[OutputShape, ...] = ()
    probed: ProbeResult | None = None
    split: ModelSplit | None = None
    ops: tuple[EagerOp, ...] = ()
    construction: Construction | None = None
    outline: Outline | None = None
    is_random: bool = False
    samples_us: tuple[float, ...] = ()
    seconds: float = 0.0
