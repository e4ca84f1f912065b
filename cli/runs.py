"""`kernelwright runs`: what was run, how it went, and going on with it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from cli.optimize import optimize, print_report
from cli.output import emit_json, results
from cli.schemas import OptimizeReport, RunList
from dataset.archive import Archive
from dataset.values import RunState
from tasks.errors import UserError

app = typer.Typer(help="Runs: list them, show one, cancel it, go on with it.", no_args_is_help=True)
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Identifier, as `runs list` shows it.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.command("list")
def list_runs(
    *, limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20, as_json: JsonOption = False
) -> int:
    """List the latest runs."""
    found = Archive.open().runs(limit)
    if as_json:
        emit_json(RunList(runs=found))
        return 0
    table = Table("run", "task", "device", "proposer", "state", "started (UTC)", "best")
    for run in found:
        table.add_row(
            run.id,
            run.config.task.slug,
            run.config.device,
            run.config.model,
            run.state.value,
            f"{run.created_at:%Y-%m-%d %H:%M}",
            "" if run.best_attempt is None else f"{run.id}:{run.best_attempt}",
        )
    results.print(table)
    return 0


@app.command("show")
def show(run: RunArgument, *, as_json: JsonOption = False) -> int:
    """Show a run's candidates and its best kernel."""
    archive = Archive.open()
    record = archive.run(run)
    best = None if record.best_attempt is None else archive.attempt(run, record.best_attempt)
    report = OptimizeReport(run=record, best=best, attempts=archive.attempts(run))
    if as_json:
        emit_json(report)
    else:
        print_report(report, stored_in=archive.location)
    return 0


@app.command("cancel")
def cancel(run: RunArgument) -> int:
    """Stop a run after the attempts that are under way; what it found is kept."""
    archive = Archive.open()
    state = archive.run(run).state
    if state not in {RunState.QUEUED, RunState.RUNNING}:
        raise UserError(f"run {run} is {state.value}: there is nothing to cancel")
    archive.set_state(run, RunState.CANCELLED, "cancelled by the user")
    results.print(f"run {run} is cancelled; `kernelwright runs resume {run}` goes on with it")
    return 0


@app.command("resume")
def resume(run: RunArgument, *, as_json: JsonOption = False) -> int:
    """Go on with a run that was stopped, here in the foreground; nothing is done twice."""
    return optimize(resume=run, as_json=as_json)
