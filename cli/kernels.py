"""`kernelwright kernels`: stored kernels, their verdicts and their differences."""

from __future__ import annotations

import difflib
import sys
from typing import Annotated

import typer
from rich.syntax import Syntax
from rich.table import Table

from cli.loading import read_attempt
from cli.output import emit_json, results
from cli.report import print_measurement, print_source, print_verdict
from cli.schemas import DiffReport, KernelList
from dataset.archive import Archive
from sandbox.values import Candidate
from tasks.errors import UserError

app = typer.Typer(help="Kernels: list them, show one with its evidence, compare two.", no_args_is_help=True)
KernelArgument = Annotated[str, typer.Argument(metavar="RUN:NUMBER", help="As `kernels list` shows it.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.command("list")
def list_kernels(
    task: Annotated[str | None, typer.Argument(help="Slug of a task; every task if left out.")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Those that did not pass, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: JsonOption = False,
) -> int:
    """List stored kernels, fastest first within a task and device."""
    found = Archive.open().kernels(task, passed_only=not every, limit=limit)
    if as_json:
        emit_json(KernelList(kernels=found))
        return 0
    table = Table("kernel", "verdict", "basis", "device", "× eager", "proposer")
    for attempt in found:
        measurement = attempt.measurement
        table.add_row(
            f"{attempt.run_id}:{attempt.number}",
            attempt.verdict.status.value if attempt.verdict else attempt.problem or "not evaluated",
            measurement.basis.value if measurement else "",
            attempt.verdict.device if attempt.verdict else "",
            f"{measurement.speedup:.2f}" if measurement else "",
            attempt.trace.model,
        )
    results.print(table)
    return 0


@app.command("show")
def show(
    kernel: KernelArgument,
    *,
    source: Annotated[bool, typer.Option("--source", help="The source alone, for a file.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Show a kernel: source, verdict check by check, times."""
    attempt = read_attempt(Archive.open(), kernel)
    if as_json:
        emit_json(attempt)
        return 0
    if source:
        sys.stdout.write(_text(attempt.candidate, kernel))
        return 0
    if attempt.candidate is not None:
        print_source(attempt.candidate, kernel)
    else:
        results.print(f"no kernel: {attempt.problem}")
    if attempt.verdict is not None:
        print_verdict(attempt.verdict)
    if attempt.measurement is not None:
        print_measurement(attempt.measurement)
    return 0


@app.command("diff")
def diff(left: KernelArgument, right: KernelArgument, *, as_json: JsonOption = False) -> int:
    """Show what changed from one kernel to another."""
    archive = Archive.open()
    texts = [_text(read_attempt(archive, name).candidate, name).splitlines(keepends=True) for name in (left, right)]
    difference = "".join(difflib.unified_diff(texts[0], texts[1], fromfile=left, tofile=right))
    if as_json:
        emit_json(DiffReport(left=left, right=right, diff=difference))
    else:
        results.print(Syntax(difference, "diff", word_wrap=True))
    return 0


def _text(candidate: Candidate | None, name: str) -> str:
    if candidate is None:
        raise UserError(f"{name} holds no kernel")
    return "\n".join(file.text for file in candidate.files)
