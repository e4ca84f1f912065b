"""Has a task traced in a sandboxed child, at sizes that tell its axes apart, and turns the answer into a program."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from agent.offline.emit import Program
from agent.offline.graph import Graph, RawTrace, TraceReply, TraceRequest, UnsupportedOpError
from agent.offline.identifiers import identifiers
from agent.offline.normalise import consistent, cut, normalise
from agent.offline.stages import Planner
from sandbox.isolation import PACKAGES, Mounts, choose_isolation
from sandbox.process import HeldProcess, ProcessFailedError
from sandbox.scratch import scratch_folder
from sandbox.settings import SandboxSettings
from tasks.values import Direction, Purpose, Task

_PRIMES = (5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79)
_SMALLEST = 2
"""Sizes of one make dimensions look like broadcasts."""
_BENCHMARKS = 3
"""Timed workloads that schedules are chosen for, those with the most data."""
_WORKLOADS = 3
"""Verification workloads that are traced too, for ops that refuse arbitrary sizes."""


class Tracer(Protocol):
    """Anything that executes a reference and records its graph."""

    def trace(self, request: TraceRequest) -> TraceReply:
        """Return the traces at the sizes asked for.

        Raises
        ------
        InfraError
            No sandboxed process could be started.
        UnsupportedOpError
            The reference broke a limit, or its process died.
        """


class SandboxTracer:
    """Traces in a held process (`agent.offline.trace_child`).

    Parameters
    ----------
    settings
        Isolation and limits; read from the environment by default.
    """

    def __init__(self, settings: SandboxSettings | None = None) -> None:
        self._settings = settings or SandboxSettings.load()

    def trace(self, request: TraceRequest) -> TraceReply:
        """Run the child once; see `Tracer.trace`."""
        with scratch_folder() as folder:
            question, answer = folder / "request.json", folder / "reply.json"
            question.write_text(request.model_dump_json(), encoding="utf-8")
            command = [sys.executable, "-I", "-B", "-m", "agent.offline.trace_child", str(question), str(answer)]
            mounts = Mounts(readable=(PACKAGES / "agent",), writable=(folder,), folder=folder)
            limits = self._settings.limits
            isolation = choose_isolation(self._settings.isolation)
            try:
                with HeldProcess(command, isolation=isolation, limits=limits, mounts=mounts, home=folder) as process:
                    finished = process.wait(limits.wall_seconds)
            except ProcessFailedError as error:
                raise UnsupportedOpError(f"the reference could not be traced: {error.message}") from error
            return _read(answer, finished.output)


def _read(answer: Path, output: str) -> TraceReply:
    """Read what the child wrote; it executed untrusted code, so it is checked like any other input."""
    try:
        return TraceReply.model_validate_json(answer.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        last = output.strip().splitlines()[-1:] or ["it wrote no answer"]
        raise UnsupportedOpError(f"the reference could not be traced: {last[0]}") from error


@dataclass(frozen=True, slots=True)
class TracedTask:
    """A task as the offline proposer understands it."""

    program: Program
    benchmarks: tuple[int, ...]
    """Traced sets of sizes that are timed, the one with the most data first."""


def trace_sizes(task: Task) -> tuple[dict[str, int], ...]:
    """Return the sets of sizes to trace at: the benchmark's first, then sets in which every axis differs.

    Sizes are told apart by the values that they take at all sets together, so the sets beyond the first give each
    axis a prime of its own.
    """
    return tuple(_distinct([*_benchmark_sizes(task), *_prime_sizes(task), *_workload_sizes(task)]))


def _distinct(candidates: list[dict[str, int]]) -> Iterator[dict[str, int]]:
    seen: list[dict[str, int]] = []
    for candidate in candidates:
        if candidate not in seen:
            seen.append(candidate)
            yield candidate


def _benchmark_sizes(task: Task) -> list[dict[str, int]]:
    bench = task.workloads_for(Purpose.BENCH) or task.workloads
    ordered = sorted(bench, key=lambda workload: -sum(spec.nbytes for spec in workload.inputs))
    return [workload.axes for workload in ordered[:_BENCHMARKS]]


def _prime_sizes(task: Task) -> list[dict[str, int]]:
    sets = []
    for offset in (0, len(task.axes)):
        primes = [
            prime for prime in _PRIMES[offset:] if all(_in_range(prime, axis.low, axis.high) for axis in task.axes)
        ]
        if len(primes) >= len(task.axes) > 0:
            sets.append({axis.name: prime for axis, prime in zip(task.axes, primes, strict=False)})
    return sets


def _in_range(size: int, low: int, high: int | None) -> bool:
    return low <= size and (high is None or size <= high)


def _workload_sizes(task: Task) -> list[dict[str, int]]:
    usable = [w.axes for w in task.workloads_for(Purpose.VERIFY) if all(size >= _SMALLEST for size in w.axes.values())]
    return usable[:_WORKLOADS]


def understand(task: Task, tracer: Tracer) -> TracedTask:
    """Trace a task and plan its kernels.

    Raises
    ------
    UnsupportedOpError
        The op cannot be traced, or some of it has no schedule; the sentence names what.
    InfraError
        No sandboxed process could be started.
    """
    sizes = trace_sizes(task)
    reply = tracer.trace(
        TraceRequest(
            source=task.source,
            form=task.form,
            entry=task.entry,
            backward=task.direction is Direction.BACKWARD,
            saved=task.saved,
            gradients=task.gradients,
            axes=sizes,
        )
    )
    if not reply.traces:
        raise UnsupportedOpError(f"the reference could not be traced: {'; '.join(dict.fromkeys(reply.problems))}")
    traces = consistent(reply.traces)
    graph = _as_candidate(task, traces[0], normalise(traces))
    timed = _benchmark_sizes(task)
    benchmarks = tuple(i for i, trace in enumerate(traces) if trace.axes in timed)
    program = Program(graph, Planner(graph).plan(), task.direction.value)
    return TracedTask(program, benchmarks or (len(traces) - 1,))


def _as_candidate(task: Task, trace: RawTrace, graph: Graph) -> Graph:
    """Give the graph the candidate's arguments and results."""
    by_name = dict(zip(trace.names, graph.inputs, strict=True))
    if task.direction is Direction.FORWARD:
        names = identifiers(trace.names)
        return cut(graph, [(node, names[name]) for name, node in by_name.items()], graph.outputs)
    gradients, saved = graph.outputs[: len(task.gradients)], graph.outputs[len(task.gradients) :]
    upstream = [name for name in trace.names if name.startswith("grad.")]
    given = {by_name[name]: name.replace("grad.", "grad_output_") for name in upstream}
    if len(upstream) == 1:
        given[by_name[upstream[0]]] = "grad_output"
    for name, node in zip(task.saved, saved, strict=True):
        if node in given:
            raise UnsupportedOpError(f"the task saves '{name}', which it already gives under another name")
        given[node] = "result" + name.removeprefix("output") if name.startswith("output") else name
    names = identifiers(tuple(given.values()))
    return cut(graph, [(node, names[name]) for node, name in given.items()], gradients)
