"""`kernelwright serve`: the web server and one worker, started and stopped together."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

import uvicorn

from agent.jobs import worker_command
from dataset.archive import Archive
from sandbox.settings import SandboxSettings
from web.address import host_names, listen, refuse_remote
from web.app import create_app
from web.local import LocalBackend
from web.settings import WebSettings
from web.worker import Worker

_DRAIN_SECONDS = 3


def serve(
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    settings: WebSettings | None = None,
    command: Sequence[str] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; returns once the server and the worker have stopped.

    Parameters
    ----------
    host
        Address to listen on; beyond loopback only where the settings allow it.
    port
        Port; 0 takes a free one.
    settings
        Read from the environment when None.
    command
        Command line of the worker; Celery's own when None.

    Raises
    ------
    UserError
        The address may not or cannot be listened on, or the database cannot be used.
    """
    settings = settings or WebSettings.load()
    refuse_remote(host, settings, SandboxSettings.load().isolation)
    with (
        suppress(KeyboardInterrupt),
        _terminated_as_interrupted(),
        listen(host, port) as listener,
        Archive.open() as archive,
        Worker(command or worker_command()),
    ):
        app = create_app(archive, LocalBackend(archive), hosts=host_names(host, settings))
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
        uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM unwind as Ctrl-C does; its default would end the process and leave the worker behind."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
