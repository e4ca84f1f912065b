"""Times a candidate at the task's bench sizes and sets it against eager PyTorch and the physical floor.

On a simulated device every figure is modelled, launch by launch, without sampling error. A candidate's values
are judged by `verify`; nothing here says that they are right.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass

from sandbox.evidence import HostOpKind
from sandbox.values import Candidate, Device, DeviceKind, Execution, ExitState, Language, Limits, Tensor
from simgpu.cost import COST_MODEL_VERSION, floor_us, roofline_us
from simgpu.specs import DeviceSpec, device_spec
from tasks.errors import CandidateError, UserError
from tasks.expressions import evaluate
from tasks.values import EagerOp, Purpose, Task, Workload
from verifier.baseline import eager_us, result_bytes
from verifier.cost import arithmetic_type
from verifier.draws import draw_arguments
from verifier.inputs import Distribution
from verifier.laboratory import CandidateRunner, Laboratory, ReferenceRunner
from verifier.sandboxed import SandboxLaboratory
from verifier.values import Measurement, WorkloadTiming


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
        The task has no bench workloads, or the device is a real GPU, for which no eager baseline can be measured yet.
    InfraError
        The machine is at fault.
    """
    if device.kind is not DeviceKind.SIM:
        raise UserError(f"timing on {device.name} is not supported yet; use a simulated device, for instance sim:h100")
    workloads = task.workloads_for(Purpose.BENCH)
    if not workloads:
        raise UserError(f"the task {task.slug} has no bench workloads, so there is nothing to time")
    spec = device_spec(device.model)
    with (
        nullcontext(laboratory) if laboratory else SandboxLaboratory() as place,
        place.reference(task, limits) as reference,
        place.candidate(place.build(candidate, device), device, limits) as runner,
    ):
        pair = _Runners(reference, runner, constructs=candidate.language is Language.MODELNEW)
        timings = tuple(_timing(task, workload, spec, pair, seed=seed) for workload in workloads)
    return Measurement(
        basis=device.basis,
        device=device.name,
        fingerprint=f"{spec.title}, {spec.boost_mhz} MHz, cost model {COST_MODEL_VERSION}",
        candidate_hash=candidate.content_hash,
        timings=timings,
        speedup=_weighted_geometric_mean(timings, workloads),
    )


@dataclass(frozen=True, slots=True)
class _Runners:
    reference: ReferenceRunner
    candidate: CandidateRunner
    constructs: bool
    """Whether the candidate is a class to construct at each size."""


def _timing(
    task: Task,
    workload: Workload,
    spec: DeviceSpec,
    runners: _Runners,
    *,
    seed: int,
) -> WorkloadTiming:
    reference = runners.reference
    arguments = draw_arguments(reference, task, workload, Distribution.NORMAL, seed)
    ops = reference.eager_ops(workload)
    dtype = arithmetic_type(workload)
    construction = reference.construction(workload) if runners.constructs else None
    execution = runners.candidate.bench([arguments], repeats=1, construction=construction)
    median = _modelled_us(execution, workload)
    written = result_bytes(ops, dtype)
    least = floor_us(spec, written, 0.0, dtype)
    if median < least:
        raise CandidateError(
            f"{median:.2f} us at {workload.name}, but writing the results alone takes {least:.2f} us: "
            "the kernel cannot have done the work"
        )
    baseline = eager_us(spec, ops, dtype)
    moved = _read_bytes(arguments, ops) + written
    flops = sum(op.flops for op in ops) if task.flops is None else evaluate(task.flops, workload.axes)
    return WorkloadTiming(
        workload=workload.name,
        samples_us=execution.samples_us,
        median_us=median,
        baseline_us=baseline,
        floor_us=floor_us(spec, moved, flops, dtype),
        speedup=baseline / median,
        roofline_fraction=roofline_us(spec, moved, flops, dtype) / median,
        launches=execution.launches,
    )


def _modelled_us(execution: Execution, workload: Workload) -> float:
    if execution.state is not ExitState.OK:
        raise CandidateError(f"{execution.state} at {workload.name}: {execution.message}")
    foreign = next((op for op in execution.host_ops if op.kind is not HostOpKind.MOVEMENT), None)
    if foreign is not None:
        raise CandidateError(f"PyTorch ran `{foreign.name}` at {workload.name} (line {foreign.line}): no kernel's work")
    if len(execution.samples_us) != 1 or execution.samples_us[0] <= 0:
        raise CandidateError(f"no kernel was launched at {workload.name}, so there is nothing to time")
    return execution.samples_us[0]


def _read_bytes(arguments: tuple[Tensor, ...], ops: tuple[EagerOp, ...]) -> int:
    """Bytes that must be read: the arguments, or less where the operators look only at a part (a gather)."""
    return min(sum(len(tensor.data) for tensor in arguments), sum(op.bytes_read for op in ops))


def _weighted_geometric_mean(timings: tuple[WorkloadTiming, ...], workloads: tuple[Workload, ...]) -> float:
    total = sum(workload.weight for workload in workloads)
    logs = sum(w.weight * math.log(timing.speedup) for timing, w in zip(timings, workloads, strict=True))
    return math.exp(logs / total)
