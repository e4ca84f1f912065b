"""Between rows and values: what each table takes from a value, and how rows become one again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import joinedload, selectinload
from sqlalchemy.orm.interfaces import ORMOption

from dataset.models import (
    AttemptRow,
    CandidateRow,
    EventRow,
    MeasurementRow,
    ParentRow,
    RunRow,
    TaskRow,
    TraceRow,
    VerdictRow,
)
from dataset.values import AttemptRecord, BestFigure, Operator, RunConfig, RunEvent, RunRecord, RunState, Trace
from sandbox.values import Candidate
from tasks.values import Task
from verifier.values import Measurement, Verdict

WHOLE_RUN: tuple[ORMOption, ...] = (joinedload(RunRow.task),)
"""Loads everything that `run_record` reads."""

WHOLE_ATTEMPT: tuple[ORMOption, ...] = (
    joinedload(AttemptRow.candidate),
    joinedload(AttemptRow.trace),
    joinedload(AttemptRow.verdict),
    joinedload(AttemptRow.measurement),
    selectinload(AttemptRow.parents),
)
"""Loads everything that `attempt_record` reads."""


def task_row(task: Task) -> TaskRow:
    """Return the row of a task."""
    return TaskRow(
        hash=task.content_hash,
        slug=task.slug,
        title=task.title,
        direction=task.direction,
        origin=task.provenance.origin,
        licence=task.provenance.licence,
        value=task,
    )


def candidate_row(candidate: Candidate) -> CandidateRow:
    """Return the row of a candidate."""
    return CandidateRow(hash=candidate.content_hash, language=candidate.language, value=candidate)


def run_row(run_id: str, config: RunConfig, now: datetime) -> RunRow:
    """Return the row of a new run, queued."""
    return RunRow(
        id=run_id,
        task_hash=config.task.content_hash,
        device=config.device,
        model=config.model,
        state=RunState.QUEUED,
        message="",
        created_at=now,
        settings=config.model_dump(mode="json", exclude={"task"}),
    )


def run_record(row: RunRow) -> RunRecord:
    """Return the run as a value."""
    return RunRecord(
        id=row.id,
        config=RunConfig.model_validate({**row.settings, "task": row.task.value}),
        state=row.state,
        message=row.message,
        created_at=row.created_at,
        finished_at=row.finished_at,
        best_attempt=row.best_attempt,
    )


def trace_row(run_id: str, number: int, trace: Trace) -> TraceRow:
    """Return the row of a trace."""
    return TraceRow(
        run_id=run_id,
        number=number,
        kind=trace.kind,
        model=trace.model,
        input_tokens=trace.input_tokens,
        output_tokens=trace.output_tokens,
        reasoning_tokens=trace.reasoning_tokens,
        cost_usd=trace.cost_usd,
        value=trace,
    )


def attempt_rows(
    run_id: str,
    number: int,
    *,
    generation: int,
    operator: Operator,
    parents: Sequence[int],
    candidate: Candidate | None,
    problem: str,
    now: datetime,
) -> tuple[AttemptRow, list[ParentRow]]:
    """Return the row of an attempt and those of its edges to its parents."""
    attempt = AttemptRow(
        run_id=run_id,
        number=number,
        generation=generation,
        operator=operator,
        candidate_hash=None if candidate is None else candidate.content_hash,
        problem=problem,
        created_at=now,
    )
    edges = [
        ParentRow(run_id=run_id, number=number, position=position, parent=parent)
        for position, parent in enumerate(parents)
    ]
    return attempt, edges


def verdict_row(run_id: str, number: int, verdict: Verdict) -> VerdictRow:
    """Return the row of a verdict."""
    return VerdictRow(run_id=run_id, number=number, status=verdict.status, device=verdict.device, value=verdict)


def measurement_row(run_id: str, number: int, measurement: Measurement) -> MeasurementRow:
    """Return the row of a measurement."""
    return MeasurementRow(
        run_id=run_id,
        number=number,
        basis=measurement.basis,
        device=measurement.device,
        speedup=measurement.speedup,
        value=measurement,
    )


def best_figure(row: MeasurementRow) -> BestFigure:
    """Return the figure that a listing of runs shows."""
    return BestFigure(run_id=row.run_id, attempt=row.number, speedup=row.speedup, basis=row.basis)


def attempt_record(row: AttemptRow) -> AttemptRecord:
    """Return the attempt as a value."""
    return AttemptRecord(
        run_id=row.run_id,
        number=row.number,
        generation=row.generation,
        operator=row.operator,
        parents=tuple(edge.parent for edge in row.parents),
        candidate=None if row.candidate is None else row.candidate.value,
        problem=row.problem,
        trace=row.trace.value,
        verdict=None if row.verdict is None else row.verdict.value,
        measurement=None if row.measurement is None else row.measurement.value,
        created_at=row.created_at,
    )


def event_record(row: EventRow) -> RunEvent:
    """Return the event as a value."""
    return RunEvent(
        run_id=row.run_id,
        sequence=row.sequence,
        kind=row.kind,
        text=row.text,
        attempt=row.attempt,
        created_at=row.created_at,
    )
