"""The statements behind the archive's methods, each within the caller's transaction."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import Select, literal, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from dataset.columns import UtcDateTime
from dataset.models import AttemptRow, CandidateRow, MeasurementRow, RunRow, TaskRow, VerdictRow
from dataset.rows import WHOLE_ATTEMPT, WHOLE_RUN, attempt_record
from dataset.values import AttemptRecord
from tasks.errors import UserError
from verifier.values import Status


class KernelOrder(StrEnum):
    """Order of a listing of kernels."""

    NEWEST = "newest"
    FASTEST = "fastest"
    """Fastest first within one task, basis and device: figures that cannot be compared stand in separate groups."""


class NotFoundError(UserError):
    """There is no run, attempt or task of that name."""


def find_run(session: Session, run_id: str, *, lock: bool = False) -> RunRow:
    """Return the run's row; `lock` holds it until the transaction ends (SQLite holds the whole database anyway)."""
    row = session.get(RunRow, run_id, options=WHOLE_RUN, with_for_update={"of": RunRow} if lock else None)
    if row is None:
        msg = f"There is no run '{run_id}'; 'kernelwright runs list' shows the known ones."
        raise NotFoundError(msg)
    return row


def find_attempt(session: Session, run_id: str, number: int) -> AttemptRow:
    """Return the attempt's row with everything that hangs from it."""
    row = session.get(AttemptRow, (run_id, number), options=WHOLE_ATTEMPT)
    if row is None:
        msg = f"Run '{run_id}' has no attempt {number}; 'kernelwright runs show {run_id}' lists its attempts."
        raise NotFoundError(msg)
    return row


def attempt_records(session: Session, query: Select[AttemptRow]) -> tuple[AttemptRecord, ...]:
    """Return the attempts that `query` selects, as values."""
    return tuple(attempt_record(row) for row in session.scalars(query.options(*WHOLE_ATTEMPT)))


def insert_missing(session: Session, row: TaskRow | CandidateRow | RunRow) -> None:
    """Insert a row unless one of its key is there; another process may do so at the same moment."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    table = type(row)
    values = {column.key: getattr(row, column.key) for column in table.__mapper__.column_attrs}
    session.execute(insert(table).values(values).on_conflict_do_nothing())


def kernels_query(task_slug: str | None, *, passed_only: bool, order: KernelOrder) -> Select[AttemptRow]:
    """Return the query of attempts that have a candidate."""
    query = select(AttemptRow).join(AttemptRow.run).join(RunRow.task).outerjoin(AttemptRow.measurement)
    query = query.where(AttemptRow.candidate_hash.is_not(None))
    if task_slug is not None:
        query = query.where(TaskRow.slug == task_slug)
    if passed_only:
        query = query.join(AttemptRow.verdict).where(VerdictRow.status == Status.PASSED)
    if order is KernelOrder.FASTEST:
        groups = (TaskRow.slug, TaskRow.hash, MeasurementRow.basis.nulls_last(), MeasurementRow.device)
        query = query.order_by(*groups, MeasurementRow.speedup.desc().nulls_last())
    return query.order_by(AttemptRow.created_at.desc(), AttemptRow.run_id, AttemptRow.number.desc())


def passed_query(after: AttemptRecord | None) -> Select[AttemptRow]:
    """Return the query of attempts that passed, oldest first, past the attempt `after`."""
    key = (AttemptRow.created_at, AttemptRow.run_id, AttemptRow.number)
    query = select(AttemptRow).join(AttemptRow.verdict).where(VerdictRow.status == Status.PASSED).order_by(*key)
    if after is None:
        return query
    return query.where(tuple_(*key) > tuple_(literal(after.created_at, UtcDateTime), after.run_id, after.number))
