"""`kernelwright tasks`: the library, what Kernelwright reads out of a user's file, and whether a task is a good one."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

from cli.importing import import_tasks
from cli.judge import InitOption, JsonOption, ShapeOption
from cli.loading import read_task
from cli.output import emit_json, outcome, progress, results
from cli.schemas import TaskCheckReport, TaskList, TaskSheet
from tasks.errors import UserError
from tasks.loading import library
from tasks.values import Task
from verifier.task_check import TaskReport

app = typer.Typer(help="The library of ops, and what is read out of a file.", no_args_is_help=True)

_LIBRARY_GROUP = 8
"""Tasks of the library that share a process: starting PyTorch takes five times as long as checking a task."""

app.command("import")(import_tasks)


@app.command("list")
def list_tasks(*, as_json: JsonOption = False) -> int:
    """List the library's tasks."""
    found = library()
    if as_json:
        emit_json(TaskList(tasks=found))
        return 0
    table = Table("slug", "family", "direction", "workloads", "what it computes")
    for task in found:
        table.add_row(task.slug, task.family, task.direction, str(len(task.workloads)), task.title)
    results.print(table)
    return 0


@app.command("show")
def show(
    task: Annotated[
        str,
        typer.Argument(help="A Python file with the op, its manifest, a library slug, or an op in a package."),
    ],
    *,
    shape: ShapeOption = None,
    init: InitOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show a task's page: its tensors and sizes, its reference, and what its workloads cost at least on each card."""
    from verifier.catalogue import task_page
    from verifier.cost import task_costs
    from verifier.sandboxed import SandboxLaboratory

    found = read_task(task, shape or (), init or ())
    with (
        progress.status("counting bytes and operations"),
        SandboxLaboratory() as laboratory,
        laboratory.reference(found, None) as reference,
    ):
        costs = task_costs(found, reference)
    if as_json:
        emit_json(TaskSheet(task=found, costs=costs))
    else:
        results.print(Markdown(task_page(found, costs)))
    return 0


@app.command("check")
def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="TASK...", help="Files or library slugs; the whole library if left out."),
    ] = None,
    *,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one for each core if left out.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Check tasks themselves: that they run, are deterministic, and that no kernel passes them without the work.

    For every task: the reference has the tensors that the manifest states; it gives comparable results on legal values
    at every workload, the same ones twice; each tensor matters; zeros, means, inputs and stale results fail; generated
    sizes run; bytes and operations are known. Exit code 1 when a task fails.
    """
    from verifier.task_pool import check_tasks

    start = time.perf_counter()
    tasks = tuple(map(read_task, names)) if names else library()
    twice = sorted({task.slug for task in tasks if [other.slug for other in tasks].count(task.slug) > 1})
    if twice:
        raise UserError(f"two of these tasks are called '{twice[0]}': check them one at a time")
    found: list[TaskReport] = []
    with progress.status(_awaited(tasks, found)) as status:
        for report in check_tasks(tasks, workers=workers, per_process=1 if names else _LIBRARY_GROUP):
            found.append(report)
            status.update(_awaited(tasks, found))
            if not as_json:
                _print_report(report)
    passed = all(report.passed for report in found)
    seconds = time.perf_counter() - start
    if as_json:
        ordered = tuple(sorted(found, key=lambda report: report.slug))
        emit_json(TaskCheckReport(passed=passed, tasks=ordered, seconds=round(seconds, 3)))
    else:
        failed = sum(not report.passed for report in found)
        results.print(f"{len(found)} tasks checked in {seconds:.0f} s, {failed} failed")
    return 0 if passed else 1


def _awaited(tasks: tuple[Task, ...], found: list[TaskReport]) -> str:
    missing = [task.slug for task in tasks if task.slug not in {report.slug for report in found}]
    return f"checking {len(tasks)} tasks, {len(missing)} to go: {escape(', '.join(missing[:3]))}"


def _print_report(report: TaskReport) -> None:
    results.print(outcome(passed=report.passed, status=f"{report.slug} ({report.seconds:.1f} s)"))
    for finding in report.findings:
        if not finding.passed:
            results.print(f"    {finding.check}: {finding.detail}")
            results.print(f"    remedy: {finding.remedy}")
