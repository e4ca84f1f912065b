"""`kernelwright serve`, `worker` and `db`: the long-running processes and their database."""

from __future__ import annotations

import subprocess
from typing import Annotated

import typer

from cli.output import progress, results
from dataset.archive import Archive

db = typer.Typer(help="The database behind the dataset.", no_args_is_help=True)


def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback only with a setting.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8000,
) -> int:
    """Serve the web page and the API, with one worker beside them."""
    from web.serve import serve as serve_web

    progress.print(f"Kernelwright is at http://{host}:{port} (stop it with Ctrl-C)")
    serve_web(host, port)
    return 0


def worker() -> int:
    """Run one worker that takes runs from the broker; `serve` starts one by itself."""
    from agent.jobs import worker_command

    Archive.open()  # migrates, and says what is wrong before the worker starts
    return subprocess.run(worker_command(), check=False).returncode


@db.callback()
def _group() -> None:
    """Keep `upgrade` a subcommand of its own."""


@db.command("upgrade")
def upgrade() -> int:
    """Bring the database to this version's schema; opening it does the same."""
    results.print(f"{Archive.open().location} is up to date")
    return 0
