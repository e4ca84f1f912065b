"""Times a candidate at the task's bench sizes and sets it against eager PyTorch and the physical floor.

On a simulated device every figure is modelled, launch by launch, without sampling error. On a GPU candidate and eager
PyTorch are sampled in turns, each in a process of its own. A candidate's values are judged by `verify`; nothing here
says that they are right.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata

from sandbox.evidence import HostOpKind
from sandbox.values import Candidate, Device, DeviceKind, Execution, ExitState, Language, Limits, Tensor
from simgpu.cost import COST_MODEL_VERSION, floor_us, roofline_us
from simgpu.specs import DeviceSpec
from tasks.errors import CandidateError, UserError
from tasks.expressions import evaluate
from tasks.values import Construction, EagerOp, Purpose, Task, Workload
from verifier.baseline import eager_us, result_bytes
from verifier.cost import arithmetic_type
from verifier.draws import Values, candidate_arguments, draw_values
from verifier.inputs import Distribution
from verifier.laboratory import CandidateRunner, EagerRunner, Laboratory, ReferenceRunner
from verifier.sandboxed import SandboxLaboratory
from verifier.seeds import stream
from verifier.statistics import TimedPair, speedup_interval
from verifier.values import Measurement, WorkloadTiming

_ROUNDS = 2
"""A drift of the card's clocks meets candidate and baseline alike when each is sampled more than once, in turns."""
_ROUND_REPEATS = 50


def bench(
    task: Task,
    candidate: Candidate,
    device: Device,
    *,
    seed: int,
    limits: Limits | None = None,
    laboratory: Laboratory | None = None,
) -> Measurement:
    """Return the times of one candidate over the task's bench workloads.

    Raises
    ------
    BuildError
        The candidate does not build.
    CandidateError
        It does not run at a bench size, or its time lies below what writing the results takes.
    UserError
        The task has no bench workloads; the reference fails on a GPU; or the GPU's rates are not known.
    InfraError
        The machine is at fault.
    """
    workloads = task.workloads_for(Purpose.BENCH)
    if not workloads:
        raise UserError(f"the task {task.slug} has no bench workloads, so there is nothing to time")
    with ExitStack() as stack:
        place = laboratory or stack.enter_context(SandboxLaboratory())
        spec = place.figures(device)
        build = place.build(candidate, device)
        runners = _Runners(
            reference=stack.enter_context(place.reference(task, limits)),
            candidate=stack.enter_context(place.candidate(build, device, limits)),
            eager=None if device.kind is DeviceKind.SIM else stack.enter_context(place.eager(task, device, limits)),
            constructs=candidate.language is Language.MODELNEW,
        )
        timings = tuple(_Timing(task, workload, spec, runners, seed).result() for workload in workloads)
    return Measurement(
        basis=device.basis,
        device=device.name,
        fingerprint=_fingerprint(device, spec),
        candidate_hash=candidate.content_hash,
        timings=timings,
        speedup=_weighted_geometric_mean(timings, workloads),
        speedup_interval=None if runners.eager is None else _interval(timings, workloads, seed),
    )


def _fingerprint(device: Device, spec: DeviceSpec) -> str:
    made_by = (
        f"cost model {COST_MODEL_VERSION}" if device.kind is DeviceKind.SIM else f"PyTorch {metadata.version('torch')}"
    )
    return f"{spec.title}, {spec.boost_mhz} MHz, {made_by}"


@dataclass(frozen=True, slots=True)
class _Runners:
    reference: ReferenceRunner
    candidate: CandidateRunner
    eager: EagerRunner | None
    """On a GPU; on a simulated device eager PyTorch is modelled."""
    constructs: bool
    """Whether the candidate is a class to construct at each size."""


@dataclass(frozen=True, slots=True)
class _Samples:
    """What was found at one workload."""

    execution: Execution
    """The candidate's last run."""
    candidate_us: tuple[float, ...]
    eager_us: tuple[float, ...]
    """Of a GPU only."""


@dataclass(frozen=True, slots=True)
class _Timing:
    """One workload to time."""

    task: Task
    workload: Workload
    spec: DeviceSpec
    runners: _Runners
    seed: int

    def result(self) -> WorkloadTiming:
        workload, spec = self.workload, self.spec
        values = draw_values(self.runners.reference, self.task, workload, Distribution.NORMAL, self.seed)
        arguments = candidate_arguments(self.runners.reference, self.task, workload, values)
        ops = self.runners.reference.eager_ops(workload)
        dtype = arithmetic_type(workload)
        written = result_bytes(ops, dtype)
        samples = self._samples(arguments, values)
        median = statistics.median(samples.candidate_us)
        self._hold_against_floor(median, floor_us(spec, written, 0.0, dtype))
        baseline = statistics.median(samples.eager_us) if samples.eager_us else eager_us(spec, ops, dtype)
        moved = _read_bytes(arguments, ops) + written
        flops = sum(op.flops for op in ops) if self.task.flops is None else evaluate(self.task.flops, workload.axes)
        return WorkloadTiming(
            workload=workload.name,
            samples_us=samples.candidate_us,
            median_us=median,
            baseline_us=baseline,
            baseline_samples_us=samples.eager_us,
            floor_us=floor_us(spec, moved, flops, dtype),
            speedup=baseline / median,
            roofline_fraction=roofline_us(spec, moved, flops, dtype) / median,
            launches=samples.execution.launches,
        )

    def _samples(self, arguments: tuple[Tensor, ...], values: Values) -> _Samples:
        eager = self.runners.eager
        construction = self.runners.reference.construction(self.workload) if self.runners.constructs else None
        if eager is None:
            execution = self._timed(arguments, construction, 1)
            return _Samples(execution, execution.samples_us, ())
        found: list[float] = []
        baseline: list[float] = []
        for _ in range(_ROUNDS):
            baseline += eager.time(self.workload, values.tensors, _ROUND_REPEATS, values.gradients)
            execution = self._timed(arguments, construction, _ROUND_REPEATS)
            found += execution.samples_us
        return _Samples(execution, tuple(found), tuple(baseline))

    def _timed(self, arguments: tuple[Tensor, ...], construction: Construction | None, repeats: int) -> Execution:
        execution = self.runners.candidate.bench([arguments], repeats=repeats, construction=construction)
        workload = self.workload
        if execution.state is not ExitState.OK:
            raise CandidateError(f"{execution.state} at {workload.name}: {execution.message}")
        foreign = next((op for op in execution.host_ops if op.kind is not HostOpKind.MOVEMENT), None)
        if foreign is not None:
            raise CandidateError(
                f"PyTorch ran `{foreign.name}` at {workload.name} (line {foreign.line}): no kernel's work"
            )
        if not execution.samples_us or min(execution.samples_us) <= 0:
            raise CandidateError(f"no kernel was launched at {workload.name}, so there is nothing to time")
        return execution

    def _hold_against_floor(self, median: float, least: float) -> None:
        if median < least:
            raise CandidateError(
                f"{median:.2f} us at {self.workload.name}, but writing the results alone takes {least:.2f} us: "
                "the kernel cannot have done the work"
            )


def _read_bytes(arguments: tuple[Tensor, ...], ops: tuple[EagerOp, ...]) -> int:
    """Bytes that must be read: the arguments, or less where the operators look only at a part (a gather)."""
    return min(sum(len(tensor.data) for tensor in arguments), sum(op.bytes_read for op in ops))


def _interval(timings: Iterable[WorkloadTiming], workloads: Iterable[Workload], seed: int) -> tuple[float, float]:
    pairs = [
        TimedPair(timing.samples_us, timing.baseline_samples_us, workload.weight)
        for timing, workload in zip(timings, workloads, strict=True)
    ]
    return speedup_interval(pairs, stream(seed, "bootstrap"))


def _weighted_geometric_mean(timings: tuple[WorkloadTiming, ...], workloads: tuple[Workload, ...]) -> float:
    total = sum(workload.weight for workload in workloads)
    logs = sum(w.weight * math.log(timing.speedup) for timing, w in zip(timings, workloads, strict=True))
    return math.exp(logs / total)
