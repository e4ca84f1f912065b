"""Checks many tasks side by side: one worker process for each core, a sandboxed reference for each task."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from sandbox.settings import SandboxSettings
from tasks.errors import InfraError
from tasks.values import Task
from verifier.sandboxed import SandboxLaboratory
from verifier.task_check import TaskReport, check_task


def check_tasks(
    tasks: Sequence[Task], settings: SandboxSettings | None = None, workers: int | None = None
) -> Iterator[TaskReport]:
    """Yield the report of each task as it is known; closing the iterator gives up the rest.

    Parameters
    ----------
    tasks
        What to check.
    settings
        The sandbox's; read from the file and the environment when None.
    workers
        Processes; one for each core that this process may use when None.

    Raises
    ------
    InfraError
        The machine is at fault.
    """
    count = min(workers or len(os.sched_getaffinity(0)), len(tasks))
    if count <= 1:
        yield from (_check(task, settings) for task in tasks)
        return
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_ignore_interrupts)
    try:
        for future in as_completed([pool.submit(_check, task, settings) for task in tasks]):
            yield future.result()
    except BrokenProcessPool as error:
        raise InfraError("a process that checked tasks was killed; is there enough memory?") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _check(task: Task, settings: SandboxSettings | None) -> TaskReport:
    with SandboxLaboratory(settings) as laboratory, laboratory.reference(task, None) as reference:
        return check_task(task, reference)


def _ignore_interrupts() -> None:
    """Leave Ctrl-C to the parent: it cancels what has not begun, and a worker ends with its task."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
