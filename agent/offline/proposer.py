"""The offline proposer: answers every request with a kernel from the schedules' space, or says why it cannot."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from itertools import product as combinations

from agent.offline.candidates import Schedules, Target, is_useful, ranked, same_kinds
from agent.offline.describe import describe
from agent.offline.emit import Program, emit
from agent.offline.graph import UnsupportedOpError
from agent.offline.schedules import from_record, mix, neighbours
from agent.offline.trace import SandboxTracer, TracedTask, Tracer, understand
from agent.values import Proposal, ProposalRequest
from dataset.values import Message, Operator, Trace, TraceKind
from sandbox.values import Candidate, Language, SourceFile
from simgpu.specs import device_spec, known_devices
from tasks.values import Task

HEADER = "// kernelwright-schedule: "
"""Start of the source's first line; the schedule follows as JSON."""
_NAME = "offline"
_USUAL_MULTIPROCESSORS = 132


class OfflineProposer:
    """Writes kernels without a model; the same request always gives the same proposal.

    Parameters
    ----------
    tracer
        Executes the reference; a sandboxed child by default.
    """

    def __init__(self, tracer: Tracer | None = None) -> None:
        self._tracer = tracer or SandboxTracer()
        self._understood: dict[str, TracedTask | str] = {}
        """By task hash: the traced task, or why there is none."""
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Identifier recorded with every attempt."""
        return _NAME

    def propose(self, request: ProposalRequest) -> Proposal:
        """Return a kernel for the request's operator; see `Proposer.propose`."""
        traced = self._understand(request.task)
        if isinstance(traced, str):
            return _refusal(request, traced)
        choice = _Choice(traced, request)
        schedules = choice.schedules()
        if schedules is None:
            return _refusal(request, "the offline proposer has no further schedule for this task")
        try:
            source = emit(traced.program, schedules)
        except UnsupportedOpError as error:
            return _refusal(request, str(error))
        entry = traced.program.entry
        candidate = Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=source),), entry=entry)
        return Proposal(
            operator=request.operator, candidate=candidate, trace=_trace(traced.program, schedules, request)
        )

    def _understand(self, task: Task) -> TracedTask | str:
        key = task.content_hash
        with self._lock:
            if key not in self._understood:
                try:
                    self._understood[key] = understand(task, self._tracer)
                except UnsupportedOpError as error:
                    self._understood[key] = str(error)
            return self._understood[key]


class _Choice:
    """Picks the schedules for one request."""

    def __init__(self, traced: TracedTask, request: ProposalRequest) -> None:
        self._program = traced.program
        self._request = request
        self._target = Target(traced.benchmarks, _multiprocessors(request.device))
        parents = [read_schedules(parent.candidate) for parent in request.parents]
        self._parents = [
            parent for parent in parents if parent is not None and same_kinds(parent, self._program, self._target)
        ]

    def schedules(self) -> Schedules | None:
        """Return the schedules, or None when every one was tried."""
        match self._request.operator:
            case Operator.MUTATE if self._parents:
                return self._nth(self._shuffled(self._mutations(self._parents[0])))
            case Operator.CROSSOVER if len(self._parents) > 1:
                crossed = self._shuffled(self._crossings(self._parents[0], self._parents[1]))
                mutated = self._shuffled(self._mutations(self._parents[0]))
                return self._nth([*crossed, *mutated])
            case Operator.TRANSLATE:
                return self._nth(ranked(self._program, self._target))
        return self._after_parent()

    def _nth(self, candidates: list[Schedules]) -> Schedules | None:
        """Return the ordinal's candidate among those that are no parent; beyond the end it starts again."""
        fresh = [candidate for candidate in dict.fromkeys(candidates) if candidate not in self._parents]
        return fresh[self._request.ordinal % len(fresh)] if fresh else None

    def _after_parent(self) -> Schedules | None:
        """Return the next best guess after the parent's, in ranked order."""
        order = ranked(self._program, self._target)
        place = order.index(self._parents[0]) + 1 if self._parents and self._parents[0] in order else 1
        return self._nth([*order[place:], *order[:place]])

    def _shuffled(self, candidates: Iterator[Schedules]) -> list[Schedules]:
        listed = list(candidates)
        random.Random(self._request.seed).shuffle(listed)  # noqa: S311 -- reproducible choice, no secret
        return listed

    def _mutations(self, parent: Schedules) -> Iterator[Schedules]:
        for position, schedule in enumerate(parent):
            for neighbour in neighbours(schedule):
                if is_useful(self._program.stages[position], neighbour, self._target):
                    yield (*parent[:position], neighbour, *parent[position + 1 :])

    def _crossings(self, first: Schedules, second: Schedules) -> Iterator[Schedules]:
        """Every legal mixture of the parents' fields, one stage at a time, then whole stages."""
        for position, (ours, theirs) in enumerate(zip(first, second, strict=True)):
            for take in combinations((False, True), repeat=len(ours.choices)):
                mixed = mix(ours, theirs, take)
                if mixed is not None and is_useful(self._program.stages[position], mixed, self._target):
                    yield (*first[:position], mixed, *first[position + 1 :])
        for take in combinations((False, True), repeat=len(first)):
            yield tuple(b if use_second else a for a, b, use_second in zip(first, second, take, strict=True))


def _multiprocessors(device: str) -> int:
    model = device.removeprefix("sim:")
    return device_spec(model).sms if model in known_devices() else _USUAL_MULTIPROCESSORS


def read_schedules(candidate: Candidate) -> Schedules | None:
    """Return the schedules in a candidate's header, None when it is not a source of ours."""
    first_line = candidate.files[0].text.split("\n", 1)[0]
    if not first_line.startswith(HEADER):
        return None
    try:
        record = json.loads(first_line.removeprefix(HEADER))
    except json.JSONDecodeError:
        return None
    stages = record.get("stages") if isinstance(record, dict) else None
    if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
        return None
    schedules = [from_record(stage) for stage in stages]
    known = tuple(schedule for schedule in schedules if schedule is not None)
    return known if len(known) == len(schedules) else None


def _trace(program: Program, schedules: Schedules, request: ProposalRequest) -> Trace:
    chosen = "\n".join(
        f"Kernel {number}: {describe(stage, schedule)}"
        for number, (stage, schedule) in enumerate(zip(program.stages, schedules, strict=True))
    )
    asked = f"{request.operator.value.capitalize()} the task '{request.task.slug}' for {request.device}."
    messages = (Message(role="user", content=asked), Message(role="assistant", content=chosen))
    return Trace(kind=TraceKind.OFFLINE, model=_NAME, messages=messages, finish_reason="stop")


def _refusal(request: ProposalRequest, problem: str) -> Proposal:
    trace = Trace(kind=TraceKind.OFFLINE, model=_NAME, messages=(Message(role="assistant", content=problem),))
    return Proposal(operator=request.operator, candidate=None, trace=trace, problem=problem)
