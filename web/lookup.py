"""Questions that the API and the pages ask alike."""

from __future__ import annotations

from dataset.archive import ENDED, Archive
from dataset.queries import NotFoundError
from dataset.values import AttemptRecord, RunRecord, RunState
from tasks.errors import UserError
from tasks.values import Task
from web.backend import Backend
from web.values import KernelSummary, RunSummary, kernel_summary, run_summary


def run_summaries(archive: Archive, limit: int) -> tuple[RunSummary, ...]:
    """Return the newest runs with their best figures."""
    runs = archive.runs(limit)
    best = archive.best_figures([run.id for run in runs])
    return tuple(run_summary(run, best.get(run.id)) for run in runs)


def kernel_summaries(archive: Archive, task: str | None, *, passed_only: bool, limit: int) -> tuple[KernelSummary, ...]:
    """Return kernels, fastest first within one task, basis and device."""
    slugs: dict[str, str] = {}
    found = archive.kernels(task, passed_only=passed_only, limit=limit)
    for run_id in {attempt.run_id for attempt in found}:
        slugs[run_id] = archive.run(run_id).config.task.slug
    return tuple(kernel_summary(attempt, slugs[attempt.run_id]) for attempt in found)


def cancel_run(archive: Archive, run_id: str) -> RunRecord:
    """Cancel a run that has not ended.

    Raises
    ------
    UserError
        There is no such run, or it has ended.
    """
    before = archive.run(run_id)
    if before.state in ENDED:
        msg = f"Run {run_id} is {before.state.value}: there is nothing to cancel."
        raise UserError(msg)
    after = archive.set_state(run_id, RunState.CANCELLED, "cancelled by the user", unless=ENDED)
    if after.state is RunState.CANCELLED:
        archive.add_event(run_id, "state", "cancelled by the user")
    return after


def find_kernel(archive: Archive, name: str) -> AttemptRecord:
    """Return the attempt called `RUN:NUMBER`; the caller has checked the form.

    Raises
    ------
    NotFoundError
        There is none.
    """
    run_id, _, number = name.partition(":")
    return archive.attempt(run_id, int(number))


def find_task(backend: Backend, slug: str) -> Task:
    """Return the library task of that name.

    Raises
    ------
    NotFoundError
        There is none.
    """
    for task in backend.library():
        if task.slug == slug:
            return task
    msg = f"There is no task '{slug}' in the library."
    raise NotFoundError(msg)
