"""`kernelwright tasks`: the library, and what Kernelwright reads out of a user's file."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.syntax import Syntax
from rich.table import Table

from cli.loading import read_task
from cli.output import emit_json, results
from cli.schemas import TaskList
from tasks.loading import library
from tasks.values import Task

app = typer.Typer(help="The library of ops, and what is read out of a file.", no_args_is_help=True)


@app.command("list")
def list_tasks(*, as_json: Annotated[bool, typer.Option("--json")] = False) -> int:
    """List the library's tasks."""
    found = library()
    if as_json:
        emit_json(TaskList(tasks=found))
        return 0
    table = Table("slug", "direction", "workloads", "what it computes")
    for task in found:
        table.add_row(task.slug, task.direction.value, str(len(task.workloads)), task.title)
    results.print(table)
    return 0


@app.command("show")
def show(
    task: Annotated[str, typer.Argument(help="A Python file with the op, or a library slug.")],
    *,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> int:
    """Show a task: its reference, and the shapes at which it is verified and timed."""
    found = read_task(task)
    if as_json:
        emit_json(found)
    else:
        _print_task(found)
    return 0


def _print_task(task: Task) -> None:
    results.print(f"[bold]{task.slug}[/]: {task.title} ({task.direction.value}; {task.provenance.licence})")
    results.print(Syntax(task.source, "python", word_wrap=True))
    table = Table("workload", "for", "visibility", "weight", "tensors")
    for workload in task.workloads:
        tensors = ", ".join(
            f"{spec.name} {spec.dtype.value}[{','.join(str(size) for size in spec.shape)}]" for spec in workload.inputs
        )
        table.add_row(workload.name, workload.purpose.value, workload.visibility.value, f"{workload.weight:g}", tensors)
    results.print(table)
