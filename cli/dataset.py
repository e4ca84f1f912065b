"""`kernelwright dataset`: what was collected, and exporting it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.output import emit_json, results
from dataset.archive import Archive
from dataset.export import export_chat

app = typer.Typer(help="The dataset of every attempt, and its exports.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `export` a subcommand of its own."""


@app.command("export")
def export(
    path: Annotated[Path, typer.Argument(help="File to write: JSON lines that Hugging Face `datasets` loads.")],
    *,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> int:
    """Write every passed kernel as a chat, with its evidence, licence and the model that wrote it."""
    summary = export_chat(Archive.open(), path)
    if as_json:
        emit_json(summary)
    else:
        results.print(f"{summary.rows} kernels of {summary.tasks} tasks in {path}")
    return 0
