"""Runs as Celery jobs: submitting one, the worker that takes it, and taking up what was interrupted.

The archive is the truth and the broker only a bell: a message holds a run's identifier and nothing else. A message
that comes twice does nothing the second time, and one that is lost is made good when a worker starts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_ready
from celery.worker import state as worker_state
from kombu.exceptions import OperationalError

from agent.evaluation import Evaluator, LocalEvaluator
from agent.locks import is_held
from agent.proposers import open_proposer
from agent.search import RunBusyError, run_lock, run_search
from agent.settings import AgentSettings
from agent.values import Proposer
from dataset.archive import ENDED, Archive
from dataset.values import RunConfig, RunRecord, RunState
from sandbox.values import Finding
from tasks.errors import InfraError, UserError

JOB = "kernelwright.optimize_run"
QUEUE = "kernelwright"
VISIBILITY_SECONDS = 7 * 24 * 3600
"""Redis hands out a message again when it is not acknowledged for so long, and a run may take days."""
CONNECT_SECONDS = 3.0


def make_celery(
    *,
    open_proposer: Callable[[str], Proposer] = open_proposer,
    open_evaluator: Callable[[], AbstractContextManager[Evaluator]] = LocalEvaluator,
) -> Celery:
    """Return a Celery application whose one job works on a run.

    Parameters
    ----------
    open_proposer
        Gives the proposer of a run's model.
    open_evaluator
        Gives what judges the candidates.
    """
    app = Celery("kernelwright", set_as_current=False)
    # A function is called when the configuration is first needed: importing this module reads no settings.
    app.add_defaults(_configuration)

    @app.task(name=JOB, shared=False)  # type: ignore[untyped-decorator]
    def optimize_run(run_id: str) -> str:
        """Work on a run until it ends; return its state."""
        with Archive.open() as archive, open_evaluator() as evaluator:
            run = work_on(archive, run_id, open_proposer, evaluator)
        if run.state is RunState.QUEUED:  # this worker shuts down: another one, or the next, goes on
            _send(app, run_id)
        return run.state.value

    return app


def _configuration() -> dict[str, Any]:
    settings = AgentSettings.load()
    folder = settings.state_dir / "broker"
    files = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder / "control"}
    return {
        "broker_url": settings.broker_url or "filesystem://localhost",
        "broker_transport_options": {"visibility_timeout": VISIBILITY_SECONDS}
        if settings.broker_url
        else {name: str(path) for name, path in files.items()},
        "broker_connection_retry_on_startup": True,
        "result_backend": settings.result_url or f"db+sqlite:///{settings.state_dir / 'results.db'}",
        "task_default_queue": QUEUE,
        # A message is acknowledged when the run has ended, so that a killed worker's run is handed out again.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        # Cancelling goes through the archive; without remote control the filesystem broker needs no broadcasts.
        "worker_enable_remote_control": False,
        "worker_hijack_root_logger": False,
    }


celery_app = make_celery()


def work_on(archive: Archive, run_id: str, open_proposer: Callable[[str], Proposer], evaluator: Evaluator) -> RunRecord:
    """Work on a run unless it has ended or another process has it; stop between attempts when the worker shuts down."""
    run = archive.run(run_id)
    if run.state in ENDED:
        return run
    try:
        proposer = open_proposer(run.config.model)
        return run_search(archive, run_id, proposer, evaluator=evaluator, stop_requested=_shutting_down)
    except RunBusyError:
        return archive.run(run_id)
    except (UserError, InfraError) as error:
        return archive.set_state(run_id, RunState.FAILED, str(error), unless=ENDED)
    except Exception as error:
        # The job ends here: whoever watches the run must learn that it did, and Celery logs the traceback.
        archive.set_state(run_id, RunState.FAILED, f"internal error: {error!r}", unless=ENDED)
        raise


def _shutting_down() -> bool:
    return any(
        flag is not None and flag is not False for flag in (worker_state.should_stop, worker_state.should_terminate)
    )


def submit_run(archive: Archive, config: RunConfig, *, app: Celery = celery_app) -> RunRecord:
    """Record a new run and send it to the workers.

    Raises
    ------
    InfraError
        The broker cannot be reached; the run is recorded as failed and can be resumed.
    """
    run = archive.create_run(config)
    return send_run(archive, run.id, app=app)


def send_run(archive: Archive, run_id: str, *, app: Celery = celery_app) -> RunRecord:
    """Send a recorded run to the workers, new or to be resumed.

    Raises
    ------
    InfraError
        The broker cannot be reached.
    """
    run = archive.set_state(run_id, RunState.QUEUED)
    try:
        _send(app, run_id)
    except (OperationalError, OSError) as error:
        message = f"the broker {_broker()} cannot be reached ({error}); is KERNELWRIGHT_BROKER_URL right?"
        archive.set_state(run_id, RunState.FAILED, message)
        raise InfraError(message) from error
    return run


def _send(app: Celery, run_id: str) -> None:
    _make_folders()
    app.send_task(JOB, args=(run_id,), queue=QUEUE, retry=False)


def resume_interrupted(archive: Archive, *, app: Celery = celery_app) -> tuple[str, ...]:
    """Send again every run that is queued or running and that no process works on; return their identifiers.

    A run's lock falls with its process, so a free lock on a running run means that its worker was killed. A
    queued run may have lost its message the same way.
    """
    waiting = [run.id for run in archive.runs(limit=sys.maxsize) if run.state in {RunState.QUEUED, RunState.RUNNING}]
    interrupted = tuple(run_id for run_id in reversed(waiting) if not is_held(run_lock(run_id)))
    for run_id in interrupted:
        _send(app, run_id)
    return interrupted


@worker_init.connect  # type: ignore[untyped-decorator]
def _make_folders(**_: object) -> None:
    settings = AgentSettings.load()
    try:
        for folder in (settings.state_dir, settings.state_dir / "broker", settings.state_dir / "broker" / "control"):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InfraError(f"cannot write {settings.state_dir}: {error.strerror}; set KERNELWRIGHT_STATE_DIR") from error


@worker_ready.connect  # type: ignore[untyped-decorator]
def _take_up(sender: Any, **_: object) -> None:  # noqa: ANN401 - Celery's consumer has no types
    with Archive.open() as archive:
        resume_interrupted(archive, app=sender.app)


def worker_command(app: str = "agent.jobs:celery_app") -> list[str]:
    """Return the command line of one worker.

    The pool is `solo`: the worker's one process works on one run at a time. A run already spreads its evaluations
    over threads and sandboxed processes, a pool of forks would be forks of a process with threads in it and
    daemonic ones at that, and a killed worker leaves no child behind that goes on. Several runs at once are
    several workers.
    """
    # Celery warns root of pickled messages from strangers; these are JSON, and candidates run in the sandbox.
    as_root = "ignore:You're running the worker with superuser privileges"
    return [
        *(sys.executable, "-W", as_root, "-m", "celery", "--app", app, "--quiet"),
        *("worker", "--pool", "solo", "--queues", QUEUE, "--loglevel", "WARNING"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]


def _broker() -> str:
    return AgentSettings.load().broker_url or f"in {AgentSettings.load().state_dir / 'broker'}"


def broker_finding() -> Finding:
    """Return whether the configured broker can be reached."""
    settings = AgentSettings.load()
    try:
        _make_folders()
        with make_celery().connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=CONNECT_SECONDS)
    except (InfraError, OperationalError, OSError, ImportError) as error:
        remedy = "start it, or set KERNELWRIGHT_BROKER_URL" if settings.broker_url else "set KERNELWRIGHT_STATE_DIR"
        return Finding(name="broker", ok=False, detail=f"{_broker()}: {error}", remedy=remedy)
    return Finding(name="broker", ok=True, detail=f"files {_broker()}" if settings.broker_url is None else _broker())
