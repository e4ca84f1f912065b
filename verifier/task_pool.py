"""Checks many tasks side by side: one worker process for each core, the references in sandboxed ones of their own."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process

from sandbox.reference import open_references
from sandbox.settings import SandboxSettings
from tasks.errors import InfraError
from tasks.values import Task
from verifier.task_check import TaskReport, check_task


def check_tasks(
    tasks: Sequence[Task],
    settings: SandboxSettings | None = None,
    *,
    workers: int | None = None,
    per_process: int = 1,
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
    per_process
        References that share a sandboxed process; more than one only where all are of one author, as in the library.

    Raises
    ------
    InfraError
        The machine is at fault.
    """
    groups = [tasks[start : start + per_process] for start in range(0, len(tasks), per_process)]
    count = min(workers or len(os.sched_getaffinity(0)), len(groups))
    if count <= 1:
        for group in groups:
            yield from _check(group, settings)
        return
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_enlist)
    try:
        for future in as_completed([pool.submit(_check, group, settings) for group in groups]):
            yield from future.result()
    except BrokenProcessPool as error:
        raise InfraError("a process that checked tasks was killed; is there enough memory?") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _check(tasks: Sequence[Task], settings: SandboxSettings | None) -> list[TaskReport]:
    with open_references(tasks, settings=settings) as references:
        return [check_task(task, reference) for task, reference in zip(tasks, references, strict=True)]


def _enlist() -> None:
    """Leave Ctrl-C to the parent, which cancels what has not begun; and end when the parent has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # a killed parent runs no clean-up, and a worker would wait for work for ever
