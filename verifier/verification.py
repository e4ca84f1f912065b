"""One verification from candidate to verdict, over any laboratory.

The order is that of cost: static rules, build, one call, many calls. The first check that fails ends it.
Everything drawn derives from the one seed, so task, candidate, device and seed replay the verdict.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from typing import NoReturn

import numpy as np

from sandbox.evidence import Specialisation
from sandbox.settings import SandboxSettings
from sandbox.values import Build, BuildError, Candidate, Device, DeviceKind, Diagnostic, Execution, Language, Limits
from tasks.errors import UserError
from tasks.values import Construction, Direction, Purpose, Task, Visibility, Workload
from verifier import checks
from verifier.clock import Clock, ClockedReference
from verifier.controls import ControlLedger
from verifier.draws import Draw, prepare
from verifier.environment import present_environment
from verifier.guard import inspect
from verifier.inputs import FULL_SET, ROTATION, Distribution
from verifier.laboratory import CandidateRunner, Laboratory, ReferenceRunner
from verifier.layouts import LayoutTrials, judge_empty, judge_layout, judge_not_finite
from verifier.pairs import Half, judge_pair, pair_of
from verifier.seeds import derive
from verifier.shapes import empty_workload, generated_workloads
from verifier.tensors import same_bits, to_float64
from verifier.tolerance import Unsuitable
from verifier.values import Check, Evidence, EvidenceTier, Stage, Status, Verdict

OnCheck = Callable[[Check], None]

_KEPT_SPECIALISATIONS = 100
_PAIRED_WORKLOADS = 4
"""A candidate's forward and backward fit together or not; sizes were judged in each half."""


class _RejectedError(Exception):
    """A check failed: the candidate's way ends here."""

    def __init__(self, status: Status) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Bench:
    """The opened runners, and the names of the candidate's own kernels."""

    reference: ReferenceRunner
    candidate: CandidateRunner
    kernels: frozenset[str]


class Verification:
    """Judges one candidate once.

    Parameters
    ----------
    task, candidate, device
        What is judged, and where it runs.
    seed
        Secret; every value and every schedule derives from it.
    laboratory
        Builds and runs.
    limits
        For each of the two child processes; the sandbox's settings when None.
    on_check
        Told of every check as it is known.
    """

    def __init__(
        self,
        task: Task,
        candidate: Candidate,
        device: Device,
        *,
        seed: int,
        laboratory: Laboratory,
        limits: Limits | None = None,
        on_check: OnCheck | None = None,
    ) -> None:
        self._task = task
        self._candidate = candidate
        self._device = device
        self._seed = seed
        self._laboratory = laboratory
        self._limits = limits
        self._on_check = on_check
        self._checks: list[Check] = []
        self._evidence: tuple[Evidence, ...] = ()
        self._diagnostics: tuple[Diagnostic, ...] = ()
        self._clock = Clock()
        self._called = False
        self._isolation = "none: nothing was run"
        self._toolchain = ""
        self._constructions: dict[str, Construction] = {}
        self._specialisations: dict[str, Specialisation] = {}
        self._controls = ControlLedger(lower_matters=task.tolerance is None and not task.properties)
        self._layouts = LayoutTrials(task, candidate.language)

    def verdict(self) -> Verdict:
        """Run the checks and conclude.

        Raises
        ------
        UserError
            The task is at fault: its reference fails, or it cannot tell right from wrong.
        InfraError
            The machine is at fault; the candidate is not scored.
        """
        try:
            self._inspect()
            # Opened before the build: the reference's process loads PyTorch while the compiler runs.
            with self._laboratory.reference(self._task, self._limits) as reference:
                self._run(self._build(), reference)
        except _RejectedError as rejected:
            status = rejected.status
        else:
            status = Status.PASSED
        return Verdict(
            status=status,
            task_hash=self._task.content_hash,
            candidate_hash=self._candidate.content_hash,
            device=self._device.name,
            seed=self._seed,
            checks=tuple(self._checks),
            evidence=self._evidence,
            diagnostics=self._diagnostics,
            isolation=self._isolation,
            limits=self._limits or SandboxSettings.load().limits,
            environment=present_environment().model_copy(update={"toolchain": self._toolchain}),
            seconds=self._clock.seconds,
            specialisations=tuple(self._specialisations.values()),
        )

    def _inspect(self) -> None:
        with self._clock.timed(Stage.GUARD):
            self._evidence = inspect(self._candidate)
        hard = next((found for found in self._evidence if found.tier is EvidenceTier.HARD), None)
        if hard is not None:
            detail = f"{hard.where}: {hard.reason}"
            self._reject(Check(name="guard", passed=False, status=Status.FORBIDDEN, detail=detail))
        if self._candidate.language is Language.MODELNEW and self._task.direction is Direction.BACKWARD:
            detail = "ModelNew computes a forward; answer a backward task with a function `backward`"
            self._reject(Check(name="language", passed=False, status=Status.UNSUPPORTED, detail=detail))
        self._record(Check(name="guard", passed=True, detail=f"{len(self._evidence)} findings, none hard"))

    def _built(self, candidate: Candidate) -> Build:
        try:
            with self._clock.timed(Stage.BUILD):
                return self._laboratory.build(candidate, self._device)
        except BuildError as error:
            self._reject(Check(name="build", passed=False, status=Status.COMPILE_ERROR, detail=error.summary))

    def _build(self) -> Build:
        build = self._built(self._candidate)
        self._toolchain = build.toolchain
        detail = f"{build.toolchain}, {build.arch}"  # nothing that differs when the verdict is replayed
        self._record(Check(name="build", passed=True, detail=detail))
        return build

    def _run(self, build: Build, reference: ReferenceRunner) -> None:
        with self._laboratory.candidate(build, self._device, self._limits) as candidate:
            self._isolation = candidate.isolation
            bench = _Bench(ClockedReference(reference, self._clock), candidate, _kernels_of(build))
            if self._task.direction is Direction.BACKWARD:
                self._record(checks.gradients_asked_for(self._task))
            for workload, distributions in plan(self._task):
                self._judge_workload(bench, workload, distributions)
            for workload, distributions in zip(generated_workloads(self._task, self._seed), cycle(ROTATION)):
                self._judge_workload(bench, workload, distributions, generated=True)
            self._judge_pair(bench)
            self._try_layouts(bench)
            self._try_empty(bench)
            self._try_not_finite(bench)
        with self._clock.timed(Stage.JUDGEMENT):
            detail = self._controls.settle(self._task.slug)
        self._record(Check(name="controls", passed=True, detail=detail))

    def _judge_workload(
        self, bench: _Bench, workload: Workload, distributions: tuple[Distribution, ...], *, generated: bool = False
    ) -> None:
        """Judge every kind of input at one workload; the reference may refuse generated sizes, not the task's own."""
        first: tuple[Draw, Execution] | None = None
        for distribution in distributions:
            with self._clock.timed(Stage.REFERENCE):
                draw = self._drawn(bench.reference, workload, distribution, generated=generated)
            if isinstance(draw, Unsuitable):
                self._leave_out(workload, distribution, draw.reason)
                continue
            with self._clock.timed(Stage.JUDGEMENT):
                self._controls.observe(draw.arguments, draw.native, draw.lower, draw.expectations)
            execution = self._judge_draw(bench, draw, natural=first is None)
            first = first or (draw, execution)
        if first is None and generated:
            return
        if first is None:
            raise UserError(
                f"the task {self._task.slug} cannot be verified at {workload.name}: on no kind of input is its "
                "reference accurate enough to compare with"
            )
        self._repeat(bench, *first)
        self._layouts.offer(first[0])

    def _judge_pair(self, bench: _Bench) -> None:
        """Run the candidate's own forward before its backward, where it has both."""
        pair = pair_of(self._task, self._candidate)
        if pair is None:
            return
        build = self._built(pair.candidate)
        with (
            self._laboratory.reference(pair.task, self._limits) as reference,
            self._laboratory.candidate(build, self._device, self._limits) as candidate,
        ):
            forward = Half(pair.task, reference, candidate, _kernels_of(build))
            backward = Half(self._task, bench.reference, bench.candidate, bench.kernels)
            for workload, _ in plan(self._task)[:_PAIRED_WORKLOADS]:
                for found in judge_pair(pair, forward, backward, workload, self._seed):
                    if not found.passed:
                        self._reject(found)
                    self._record(found)

    def _try_layouts(self, bench: _Bench) -> None:
        """Call the candidate on tensors that lie otherwise in memory."""
        for draw in self._layouts.draws:
            execution = self._call(bench, draw, None)
            with self._clock.timed(Stage.JUDGEMENT):
                found = judge_layout(draw, execution, bench.kernels)
            if not found.passed:
                self._diagnostics = execution.diagnostics
                self._reject(found)
            self._record(found)

    def _try_empty(self, bench: _Bench) -> None:
        """Call the candidate on an empty tensor, where the task does not ask for one but its reference takes it."""
        workload = empty_workload(self._task, self._seed)
        if workload is None:
            return
        with self._clock.timed(Stage.REFERENCE):
            draw = self._drawn(bench.reference, workload, Distribution.NORMAL, generated=True)
        if isinstance(draw, Unsuitable):
            self._leave_out(workload, Distribution.NORMAL, draw.reason)
            return
        self._record(judge_empty(draw, self._call(bench, draw, None), bench.kernels))

    def _try_not_finite(self, bench: _Bench) -> None:
        """Call the candidate on NaN and infinities among ordinary numbers."""
        workload = fullest(self._task)
        with self._clock.timed(Stage.REFERENCE):
            draw = self._drawn(bench.reference, workload, Distribution.NOT_FINITE, generated=True)
        if isinstance(draw, Unsuitable):
            self._leave_out(workload, Distribution.NOT_FINITE, draw.reason)
        elif not all(np.isfinite(to_float64(tensor)).all() for tensor in draw.arguments):
            self._record(judge_not_finite(draw, self._call(bench, draw, None), bench.kernels))

    def _drawn(
        self, reference: ReferenceRunner, workload: Workload, distribution: Distribution, *, generated: bool
    ) -> Draw | Unsuitable:
        try:
            return self._prepare(reference, workload, distribution)
        except UserError as error:
            if not generated:
                raise
            return Unsuitable(f"the reference refuses this: {error}")

    def _prepare(self, reference: ReferenceRunner, workload: Workload, distribution: Distribution) -> Draw | Unsuitable:
        """Prepare a draw; a reference that does not survive large values is asked for smaller ones."""
        draw = prepare(reference, self._task, workload, distribution, self._seed)
        if distribution is Distribution.LARGE and (isinstance(draw, Unsuitable) or not draw.all_finite):
            return prepare(reference, self._task, workload, Distribution.WIDE, self._seed)
        return draw

    def _judge_draw(self, bench: _Bench, draw: Draw, *, natural: bool) -> Execution:
        """Call the candidate once; the first call of a workload runs warps in their natural order and is counted."""
        schedule = None if natural else self._schedule(draw, "first")
        execution = self._call(bench, draw, schedule, counters=natural)
        with self._clock.timed(Stage.JUDGEMENT):
            found = checks.until_failed(checks.judge(draw, execution, bench.kernels))
        last = found[-1]
        if last.passed:
            for check in found:
                if natural or check.name.startswith("values"):
                    self._record(check)
            return execution
        self._diagnostics = execution.diagnostics
        if schedule is not None and last.status is Status.WRONG_VALUES and self._answers(bench, draw):
            detail = "right when warps and blocks run in their natural order, wrong in another: " + last.detail
            last = checks.check(draw, "determinism", Status.NONDETERMINISTIC, detail)
        return self._reject(last)

    def _answers(self, bench: _Bench, draw: Draw) -> bool:
        """Whether the natural order of warps and blocks gives the right result."""
        return checks.until_failed(checks.judge(draw, self._call(bench, draw, None), bench.kernels))[-1].passed

    def _repeat(self, bench: _Bench, draw: Draw, before: Execution) -> None:
        """Call the candidate again on a workload's first draw, in another order of warps and blocks.

        Float atomics in another order round differently and may; a result that leaves the tolerance may not.
        Everything else is judged as at the first call: a result that was kept comes back without a launch.
        """
        again = self._call(bench, draw, self._schedule(draw, "again"))
        with self._clock.timed(Stage.JUDGEMENT):
            last = checks.until_failed(checks.judge(draw, again, bench.kernels))[-1]
        if last.status is Status.WRONG_VALUES:
            detail = "right at the first call, wrong when repeated in another order: " + last.detail
            self._reject(checks.check(draw, "determinism", Status.NONDETERMINISTIC, detail))
        if not last.passed:
            self._diagnostics = again.diagnostics
            self._reject(last)
        same = all(same_bits(left, right) for left, right in zip(before.outputs, again.outputs, strict=True))
        detail = "bit for bit the same when repeated" if same else "repetitions differ in rounding only"
        self._record(checks.check(draw, "determinism", None, detail, again.outputs))

    def _call(self, bench: _Bench, draw: Draw, schedule: int | None, *, counters: bool = False) -> Execution:
        with self._clock.timed(Stage.CANDIDATE):
            start = time.perf_counter()
            execution = bench.candidate.call(
                draw.arguments,
                counters=counters,
                schedule_seed=schedule,
                construction=self._construction(bench, draw.workload),
            )
            wall = time.perf_counter() - start
        if not self._called and execution.seconds:
            self._clock.move(Stage.CANDIDATE, Stage.START_UP, wall - execution.seconds)
        self._called = True
        for one in execution.specialisations[:_KEPT_SPECIALISATIONS]:
            self._specialisations[f"{one.ptx_hash} {one.signature}"] = one.model_copy(update={"ptx": ""})
        return execution

    def _construction(self, bench: _Bench, workload: Workload) -> Construction | None:
        """Return how a `ModelNew` is made at a workload; None for candidates that are functions."""
        if self._candidate.language is not Language.MODELNEW:
            return None
        if workload.name not in self._constructions:
            self._constructions[workload.name] = bench.reference.construction(workload)
        return self._constructions[workload.name]

    def _schedule(self, draw: Draw, purpose: str) -> int | None:
        """Return the order of warps and blocks for a call; a real card takes its own."""
        if self._device.kind is not DeviceKind.SIM:
            return None
        return derive(self._seed, "schedule", purpose, draw.workload.name, draw.distribution) % 2**31

    def _leave_out(self, workload: Workload, distribution: Distribution, reason: str) -> None:
        public = workload.visibility is Visibility.PUBLIC
        name, detail = f"draw[{distribution}]", f"left out: {reason}"
        self._record(Check(name=name, workload=workload.name, passed=True, detail=detail, public=public))

    def _record(self, check: Check) -> None:
        self._checks.append(check)
        if self._on_check is not None:
            self._on_check(check)

    def _reject(self, check: Check) -> NoReturn:
        self._record(check)
        raise _RejectedError(check.status or Status.INFRA_ERROR)


def _kernels_of(build: Build) -> frozenset[str]:
    return frozenset((*(kernel.kernel for kernel in build.kernels), *build.jit))


def plan(task: Task) -> tuple[tuple[Workload, tuple[Distribution, ...]], ...]:
    """Return the workloads in order of judging, public ones first, each with its kinds of input.

    The largest public workload gets every kind: small ones hide tails, strides and sums. The others take turns.

    Raises
    ------
    UserError
        The task has no workload to verify at.
    """
    workloads = sorted(task.workloads_for(Purpose.VERIFY), key=lambda w: w.visibility is Visibility.HIDDEN)
    if not workloads:
        raise UserError(f"the task {task.slug} has no workloads to verify at")
    turns, largest = cycle(ROTATION), fullest(task)
    return tuple((w, FULL_SET if w is largest else next(turns)) for w in workloads)


def fullest(task: Task) -> Workload:
    """Return the largest public workload, of a task without public ones the largest hidden one."""
    workloads = task.workloads_for(Purpose.VERIFY)
    public = [workload for workload in workloads if workload.visibility is Visibility.PUBLIC]
    return max(public or workloads, key=lambda w: sum(spec.nbytes for spec in w.inputs))
