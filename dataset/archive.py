"""The archive: every run, attempt, verdict and measurement, written once and kept.

Each method is one short transaction, safe with several threads and processes on one database. Writes are
idempotent: repeating one, as a resumed run does, changes nothing and returns what is stored.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from dataset.engine import WRITES, open_engine, parse_url
from dataset.faults import location, translated
from dataset.migrate import upgrade
from dataset.models import AttemptRow, EventRow, MeasurementRow, RunRow, TaskRow, VerdictRow
from dataset.queries import (
    KernelOrder,
    attempt_records,
    find_attempt,
    find_run,
    insert_missing,
    kernels_query,
    passed_query,
)
from dataset.rows import (
    WHOLE_RUN,
    attempt_record,
    attempt_rows,
    best_figure,
    candidate_row,
    event_record,
    measurement_row,
    run_record,
    run_row,
    task_row,
    trace_row,
    verdict_row,
)
from dataset.settings import DatasetSettings
from dataset.values import AttemptRecord, BestFigure, Counts, Operator, RunConfig, RunEvent, RunRecord, RunState, Trace
from sandbox.values import Candidate, Finding
from tasks.errors import KernelwrightError, UserError
from verifier.values import Measurement, Status, Verdict

ENDED = frozenset({RunState.FINISHED, RunState.FAILED, RunState.CANCELLED})
"""States in which a run does no more work."""


_PAGE = 100


class Archive:
    """The dataset's door; see `Archive.open`. May be shared by threads, not across `fork`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITES: True})

    @classmethod
    def open(cls, url: str | None = None) -> Self:
        """Open the database at `url` (default: the settings') and bring it to this version's tables.

        Raises
        ------
        UserError
            Not a usable URL, a place that cannot be written, or a database from a newer version.
        InfraError
            Full disk, or a database that cannot be reached.
        """
        settings = DatasetSettings.load(database_url=url)
        parsed = parse_url(settings.url)
        engine = open_engine(parsed, settings)
        with ExitStack() as on_failure, translated(parsed):
            on_failure.callback(engine.dispose)
            upgrade(engine)
            on_failure.pop_all()
        return cls(engine)

    @property
    def url(self) -> str:
        """The database's URL, whole: it may hold a password."""
        return self._engine.url.render_as_string(hide_password=False)

    @property
    def location(self) -> str:
        """Where the database is, for people: SQLite's file, or the URL without its password."""
        return location(self._engine.url)

    def close(self) -> None:
        """Close the connections. The archive opens new ones when it is used again."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # Runs

    def create_run(self, config: RunConfig, run_id: str | None = None) -> RunRecord:
        """Store a new run, queued, under a fresh or the given identifier.

        Raises
        ------
        UserError
            A run of that identifier exists with another configuration.
        """
        run_id = secrets.token_hex(5) if run_id is None else run_id
        with self._write() as session:
            insert_missing(session, task_row(config.task))
            insert_missing(session, run_row(run_id, config, datetime.now(UTC)))
            record = run_record(find_run(session, run_id))
        if record.config != config:
            msg = f"Run {run_id} exists with another configuration; leave the identifier out to get a fresh one."
            raise UserError(msg)
        return record

    def run(self, run_id: str) -> RunRecord:
        """Return one run.

        Raises
        ------
        UserError
            There is no such run.
        """
        with self._read() as session:
            return run_record(find_run(session, run_id))

    def runs(self, limit: int = 50) -> tuple[RunRecord, ...]:
        """Return the newest runs first."""
        query = select(RunRow).options(*WHOLE_RUN).order_by(RunRow.created_at.desc(), RunRow.id).limit(limit)
        with self._read() as session:
            return tuple(run_record(row) for row in session.scalars(query))

    def best_figures(self, run_ids: Collection[str]) -> dict[str, BestFigure]:
        """Return the speed-up of each run's best attempt, by run; runs without one are left out."""
        best = (MeasurementRow.run_id == RunRow.id) & (MeasurementRow.number == RunRow.best_attempt)
        query = select(MeasurementRow).join(RunRow, best).where(RunRow.id.in_(run_ids))
        with self._read() as session:
            return {row.run_id: best_figure(row) for row in session.scalars(query)}

    def set_state(
        self, run_id: str, state: RunState, message: str = "", *, unless: Collection[RunState] = ()
    ) -> RunRecord:
        """Set the run's state, but leave it alone if it is now one of `unless`; return the run as it then is.

        The comparison and the change are one step: a worker that starts a run passes `unless={CANCELLED}` and
        looks at the state that it gets back.

        Raises
        ------
        UserError
            There is no such run.
        """
        with self._write() as session:
            row = find_run(session, run_id, lock=True)
            if row.state not in unless:
                row.state = state
                row.message = message
                row.finished_at = datetime.now(UTC) if state in ENDED else None
            return run_record(row)

    def set_best(self, run_id: str, number: int) -> None:
        """Record which attempt is the fastest that passed.

        Raises
        ------
        UserError
            There is no such run, or no attempt of that number in it.
        """
        with self._write() as session:
            row = find_run(session, run_id, lock=True)
            find_attempt(session, run_id, number)
            row.best_attempt = number

    # Attempts

    def record_proposal(
        self,
        run_id: str,
        number: int,
        *,
        generation: int,
        operator: Operator,
        parents: Sequence[int],
        candidate: Candidate | None,
        problem: str = "",
        trace: Trace,
    ) -> AttemptRecord:
        """Store a proposal as attempt `number`; if that attempt exists already, the stored one stands.

        Raises
        ------
        UserError
            There is no such run, or a parent is not an attempt of it.
        """
        with self._write() as session:
            find_run(session, run_id, lock=True)
            if session.get(AttemptRow, (run_id, number)) is None:
                for parent in parents:
                    find_attempt(session, run_id, parent)
                if candidate is not None:
                    insert_missing(session, candidate_row(candidate))
                attempt, edges = attempt_rows(
                    run_id,
                    number,
                    generation=generation,
                    operator=operator,
                    parents=parents,
                    candidate=candidate,
                    problem=problem,
                    now=datetime.now(UTC),
                )
                session.add(attempt)
                session.flush()
                session.add_all([*edges, trace_row(run_id, number, trace)])
                session.flush()
                session.expunge_all()  # so that the row comes back with everything that hangs from it
            return attempt_record(find_attempt(session, run_id, number))

    def record_outcome(
        self, run_id: str, number: int, verdict: Verdict, measurement: Measurement | None
    ) -> AttemptRecord:
        """Store what came of an attempt; a stored outcome stands.

        Two additions are taken: a verdict in place of `infra_error`, which says nothing about the candidate,
        and a measurement for a passed verdict that had none.

        Raises
        ------
        UserError
            There is no such attempt.
        ValueError
            The verdict or the measurement is of another candidate, a candidate that did not pass was measured, or a
            figure is not a finite number.
        """
        with self._write() as session:
            find_run(session, run_id, lock=True)
            row = find_attempt(session, run_id, number)
            _refuse_foreign_outcome(row, verdict, measurement)
            if row.verdict is None or row.verdict.status is Status.INFRA_ERROR:
                session.merge(verdict_row(run_id, number, verdict))
                session.flush()
            stored = session.get_one(VerdictRow, (run_id, number))
            if measurement is not None and row.measurement is None and stored.status is Status.PASSED:
                session.add(measurement_row(run_id, number, measurement))
                session.flush()
            session.expunge_all()  # likewise
            return attempt_record(find_attempt(session, run_id, number))

    def attempts(self, run_id: str) -> tuple[AttemptRecord, ...]:
        """Return the run's attempts in the order of their numbers.

        Raises
        ------
        UserError
            There is no such run.
        """
        query = select(AttemptRow).where(AttemptRow.run_id == run_id).order_by(AttemptRow.number)
        with self._read() as session:
            find_run(session, run_id)
            return attempt_records(session, query)

    def attempt(self, run_id: str, number: int) -> AttemptRecord:
        """Return one attempt.

        Raises
        ------
        UserError
            There is no such run or attempt.
        """
        with self._read() as session:
            find_run(session, run_id)
            return attempt_record(find_attempt(session, run_id, number))

    def kernels(
        self,
        task_slug: str | None = None,
        passed_only: bool = True,  # noqa: FBT001, FBT002 - part of the rooms' contract
        limit: int | None = 100,
        *,
        order: KernelOrder = KernelOrder.FASTEST,
    ) -> tuple[AttemptRecord, ...]:
        """Return attempts that have a candidate, of one task or of all; `limit` None means every one."""
        query = kernels_query(task_slug, passed_only=passed_only, order=order).limit(limit)
        with self._read() as session:
            return attempt_records(session, query)

    def passed(self) -> Iterator[AttemptRecord]:
        """Yield every attempt that passed, oldest first, a page of a hundred at a time.

        Each page is a transaction of its own: an export of any size needs little memory and holds nobody up.
        """
        last: AttemptRecord | None = None
        while True:
            with self._read() as session:
                records = attempt_records(session, passed_query(last).limit(_PAGE))
            yield from records
            if len(records) < _PAGE:
                return
            last = records[-1]

    def counts(self) -> Counts:
        """Return how much the archive holds."""
        verdicts = select(VerdictRow.status, func.count()).group_by(VerdictRow.status)
        tables = [select(func.count()).select_from(table) for table in (TaskRow, RunRow, AttemptRow)]
        with self._read() as session:
            tasks, runs, attempts = (session.scalar(query) or 0 for query in tables)
            statuses = dict(session.execute(verdicts).all())
        return Counts(tasks=tasks, runs=runs, attempts=attempts, statuses=statuses)

    # Events

    def add_event(self, run_id: str, kind: str, text: str, attempt: int | None = None) -> RunEvent:
        """Append a step of progress to the run.

        Raises
        ------
        UserError
            There is no such run.
        """
        with self._write() as session:
            find_run(session, run_id, lock=True)
            last = session.scalar(select(func.max(EventRow.sequence)).where(EventRow.run_id == run_id))
            row = EventRow(
                run_id=run_id,
                sequence=(last or 0) + 1,
                kind=kind,
                text=text,
                attempt=attempt,
                created_at=datetime.now(UTC),
            )
            session.add(row)
            session.flush()
            session.refresh(row)
            return event_record(row)

    def events(self, run_id: str, after: int = 0) -> tuple[RunEvent, ...]:
        """Return the run's events with a sequence above `after`, in order.

        Raises
        ------
        UserError
            There is no such run.
        """
        query = select(EventRow).where(EventRow.run_id == run_id, EventRow.sequence > after)
        with self._read() as session:
            find_run(session, run_id)
            return tuple(event_record(row) for row in session.scalars(query.order_by(EventRow.sequence)))

    # Transactions

    @contextmanager
    def _read(self) -> Iterator[Session]:
        with translated(self._engine.url), Session(self._engine) as session, session.begin():
            yield session

    @contextmanager
    def _write(self) -> Iterator[Session]:
        with translated(self._engine.url), Session(self._writer) as session, session.begin():
            yield session


def database_finding() -> Finding:
    """Return whether the configured database can be opened, for `kernelwright doctor` and `/api/health`."""
    try:
        with Archive.open() as archive:
            return Finding(name="database", ok=True, detail=archive.location)
    except KernelwrightError as error:
        remedy = "set KERNELWRIGHT_DATABASE_URL, for instance to sqlite:///kernelwright.db"
        return Finding(name="database", ok=False, detail=str(error), remedy=remedy)


def _refuse_foreign_outcome(row: AttemptRow, verdict: Verdict, measurement: Measurement | None) -> None:
    place = f"attempt {row.number} of run {row.run_id}"
    hashes = {verdict.candidate_hash} | ({measurement.candidate_hash} if measurement is not None else set())
    if hashes != {row.candidate_hash}:
        msg = f"the outcome for {place} is of another candidate"
        raise ValueError(msg)
    if measurement is not None and not verdict.passed:
        msg = f"{place} has a measurement though its verdict is {verdict.status}"
        raise ValueError(msg)
    if measurement is not None and not all(math.isfinite(figure) for figure in _figures(measurement)):
        msg = f"the measurement for {place} holds a figure that is not a finite number"
        raise ValueError(msg)


def _figures(measurement: Measurement) -> Iterator[float]:
    yield measurement.speedup
    for timing in measurement.timings:
        yield from (timing.median_us, timing.baseline_us, timing.floor_us, timing.speedup, timing.roofline_fraction)
        yield from (*timing.samples_us, *timing.baseline_samples_us)
