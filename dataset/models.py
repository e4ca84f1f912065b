"""The tables. Scalar columns hold what is queried; beside them stands the whole value as JSON.

tasks ← runs ← attempts → candidates
          ↑        ↑ attempt_parents, traces, verdicts, measurements (each keyed by run and attempt number)
        events
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Enum, ForeignKey, ForeignKeyConstraint, Index, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from dataset.columns import Prose, UtcDateTime, ValueJson
from dataset.values import Operator, RunState, Trace, TraceKind
from sandbox.values import Basis, Candidate, Language
from tasks.values import Direction, Task
from verifier.values import Measurement, Status, Verdict

HASH = String(64)
RUN_ID = String(32)


def _spelled(enum: type[Operator | RunState | TraceKind | Basis | Language | Direction | Status]) -> Enum:
    """Return a column of the enumeration's values, as plain text: a new member needs no migration."""
    return Enum(
        enum,
        native_enum=False,
        create_constraint=False,
        length=32,
        values_callable=lambda members: [member.value for member in members],
    )


class Base(DeclarativeBase):
    """Base of the tables; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class TaskRow(Base):
    """A task, once per content hash."""

    __tablename__ = "tasks"

    hash: Mapped[str] = mapped_column(HASH, primary_key=True)
    slug: Mapped[str] = mapped_column(Prose, index=True)
    title: Mapped[str] = mapped_column(Prose)
    direction: Mapped[Direction] = mapped_column(_spelled(Direction))
    origin: Mapped[str] = mapped_column(Prose)
    licence: Mapped[str] = mapped_column(Prose)
    value: Mapped[Task] = mapped_column(ValueJson(Task))


class CandidateRow(Base):
    """A candidate, once per content hash, however many attempts proposed it."""

    __tablename__ = "candidates"

    hash: Mapped[str] = mapped_column(HASH, primary_key=True)
    language: Mapped[Language] = mapped_column(_spelled(Language))
    value: Mapped[Candidate] = mapped_column(ValueJson(Candidate))


class RunRow(Base):
    """One run and its state."""

    __tablename__ = "runs"
    __table_args__ = (Index(None, "created_at"),)

    id: Mapped[str] = mapped_column(RUN_ID, primary_key=True)
    task_hash: Mapped[str] = mapped_column(ForeignKey("tasks.hash"), index=True)
    device: Mapped[str] = mapped_column(Prose)
    model: Mapped[str] = mapped_column(Prose)
    state: Mapped[RunState] = mapped_column(_spelled(RunState), index=True)
    message: Mapped[str] = mapped_column(Prose)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    best_attempt: Mapped[int | None]
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    """`RunConfig` without its task, which has a table of its own."""

    task: Mapped[TaskRow] = relationship(lazy="raise_on_sql")


class AttemptRow(Base):
    """One attempt of a run: what was proposed. What came of it stands in the tables that hang from it."""

    __tablename__ = "attempts"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    generation: Mapped[int]
    operator: Mapped[Operator] = mapped_column(_spelled(Operator))
    candidate_hash: Mapped[str | None] = mapped_column(ForeignKey("candidates.hash"), index=True)
    problem: Mapped[str] = mapped_column(Prose)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)

    run: Mapped[RunRow] = relationship(lazy="raise_on_sql")
    candidate: Mapped[CandidateRow | None] = relationship(lazy="raise_on_sql")
    trace: Mapped[TraceRow] = relationship(lazy="raise_on_sql")
    verdict: Mapped[VerdictRow | None] = relationship(lazy="raise_on_sql")
    measurement: Mapped[MeasurementRow | None] = relationship(lazy="raise_on_sql")
    parents: Mapped[list[ParentRow]] = relationship(
        lazy="raise_on_sql",
        order_by="ParentRow.position",
        foreign_keys="[ParentRow.run_id, ParentRow.number]",
    )


class ParentRow(Base):
    """One edge of the lineage: `parent` is an earlier attempt of the same run."""

    __tablename__ = "attempt_parents"
    __table_args__ = (
        ForeignKeyConstraint(["run_id", "number"], ["attempts.run_id", "attempts.number"]),
        ForeignKeyConstraint(["run_id", "parent"], ["attempts.run_id", "attempts.number"]),
    )

    run_id: Mapped[str] = mapped_column(RUN_ID, primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    parent: Mapped[int]


class TraceRow(Base):
    """How the attempt's proposal was reached."""

    __tablename__ = "traces"
    __table_args__ = (ForeignKeyConstraint(["run_id", "number"], ["attempts.run_id", "attempts.number"]),)

    run_id: Mapped[str] = mapped_column(RUN_ID, primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[TraceKind] = mapped_column(_spelled(TraceKind))
    model: Mapped[str] = mapped_column(Prose)
    input_tokens: Mapped[int]
    output_tokens: Mapped[int]
    reasoning_tokens: Mapped[int]
    cost_usd: Mapped[float]
    value: Mapped[Trace] = mapped_column(ValueJson(Trace))


class VerdictRow(Base):
    """The verdict on the attempt's candidate."""

    __tablename__ = "verdicts"
    __table_args__ = (ForeignKeyConstraint(["run_id", "number"], ["attempts.run_id", "attempts.number"]),)

    run_id: Mapped[str] = mapped_column(RUN_ID, primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    status: Mapped[Status] = mapped_column(_spelled(Status), index=True)
    device: Mapped[str] = mapped_column(Prose)
    value: Mapped[Verdict] = mapped_column(ValueJson(Verdict))


class MeasurementRow(Base):
    """The timing of an attempt that passed."""

    __tablename__ = "measurements"
    __table_args__ = (
        ForeignKeyConstraint(["run_id", "number"], ["attempts.run_id", "attempts.number"]),
        Index(None, "basis", "device", "speedup"),
    )

    run_id: Mapped[str] = mapped_column(RUN_ID, primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    basis: Mapped[Basis] = mapped_column(_spelled(Basis))
    device: Mapped[str] = mapped_column(Prose)
    speedup: Mapped[float]
    value: Mapped[Measurement] = mapped_column(ValueJson(Measurement))


class EventRow(Base):
    """One step of a run's progress."""

    __tablename__ = "events"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(Prose)
    text: Mapped[str] = mapped_column(Prose)
    attempt: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
