"""`kernelwright optimize`: from an op to its best verified kernel."""

from __future__ import annotations

import secrets
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.markup import escape
from rich.text import Text

from cli.judge import HeadersOption, InitOption, ShapeOption
from cli.loading import read_task
from cli.output import emit_json, progress, results
from cli.report import attempt_table, print_measurement, print_source, task_summary
from cli.schemas import OptimizeReport
from dataset.archive import Archive
from dataset.values import RunConfig, RunEvent, RunRecord
from sandbox.settings import HeaderChoice, SandboxSettings
from sandbox.values import Language
from tasks.errors import InfraError, UserError
from tasks.values import Task


def optimize(
    task: Annotated[
        str | None,
        typer.Argument(
            help="A Python file with the op, a library slug, or an op in a package, as mypkg.layers:RMSNorm with"
            " --shape. Left out with --resume."
        ),
    ] = None,
    *,
    shape: ShapeOption = None,
    init: InitOption = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Take the task of an op in a package as it was inferred.")
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="A model of the configured endpoint, or `offline`, which needs none.")
    ] = None,
    device: Annotated[str, typer.Option(help="sim:h100, sim:a100, ..., cuda:0, or auto.")] = "auto",
    language: Annotated[Language, typer.Option(help="What kernels are written in: cuda, or triton by a model.")] = (
        Language.CUDA
    ),
    samples: Annotated[int, typer.Option(min=1, help="Translations asked for before the evolution.")] = 4,
    repairs: Annotated[int, typer.Option(min=0, help="Repair turns for each translation that fails.")] = 2,
    generations: Annotated[int, typer.Option(min=0, help="Evolution steps after the translation.")] = 2,
    population: Annotated[int, typer.Option(min=1, help="Candidates per evolution step.")] = 4,
    budget_usd: Annotated[float | None, typer.Option(min=0, help="Stop before a model call past this sum.")] = None,
    budget_tokens: Annotated[int | None, typer.Option(min=0, help="Stop before a model call past this many.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Start no new attempt after this time.")] = None,
    headers: HeadersOption = None,
    seed: Annotated[
        int | None, typer.Option(help="Drives every random choice; drawn and recorded if left out.")
    ] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> int:
    """Translate a PyTorch op to CUDA or Triton, verify it on hidden shapes and values, and evolve faster versions.

    Prints a table of the candidates and the best kernel. Exit code 0 when a kernel passed, 1 when none did.
    """
    from agent.proposers import check_language, open_proposer
    from sandbox.devices import parse_device

    archive = Archive.open()
    if resume is not None:
        if task is not None:
            raise UserError("--resume takes the task from the run: leave TASK out")
        run = archive.run(resume)
    elif task is None:
        raise UserError("give a TASK: a Python file with the op, or a slug of `kernelwright tasks list`")
    else:
        # Opened first, so that a wrong model or key is known before anything is recorded.
        proposer_name = open_proposer(model).name
        check_language(proposer_name, language)
        config = RunConfig(
            task=_inferred(task, shape or (), init or (), yes=yes),
            device=parse_device(device).name,
            model=proposer_name,
            language=language,
            samples=samples,
            repairs=repairs,
            generations=generations,
            population=population,
            seed=secrets.randbits(32) if seed is None else seed,
            budget_usd=budget_usd,
            budget_tokens=budget_tokens,
            max_seconds=max_seconds,
        )
        run = archive.create_run(config)
    return _search_and_report(
        archive, run, typed=_typed(task, shape or (), init or ()), headers=headers, as_json=as_json
    )


def _typed(task: str | None, shapes: Sequence[str], init: Sequence[str]) -> str | None:
    """Return how the person named the task, for the commands that are suggested."""
    if task is None:
        return None
    options = [*(f"--shape={one}" for one in shapes), *(f"--init={one}" for one in init)]
    return shlex.join([task, *options])


def _inferred(typed: str, shapes: Sequence[str], init: Sequence[str], *, yes: bool) -> Task:
    """Read the task; one that was inferred from little is shown and must be confirmed.

    Raises
    ------
    UserError
        It was refused, or nobody can be asked.
    """
    task = read_task(typed, shapes, init)
    if not shapes:
        return task
    progress.print(task_summary(task))
    if yes:
        return task
    remedy = "`kernelwright tasks import` with --save writes it to a file that you can edit and name instead"
    if not sys.stdin.isatty():
        raise UserError(f"say --yes if this task is what you mean; {remedy}")
    if not typer.confirm("Optimise this task?", err=True):
        raise UserError(f"nothing was done; {remedy}")
    return task


def _search_and_report(
    archive: Archive, run: RunRecord, *, typed: str | None, headers: HeaderChoice | None, as_json: bool
) -> int:
    from agent.evaluation import LocalEvaluator
    from agent.proposers import open_proposer
    from agent.search import run_search
    from verifier.sandboxed import SandboxLaboratory

    settings = SandboxSettings.load(headers=headers)
    progress.print(f"run {run.id}: {run.config.task.title} on {run.config.device}, proposer {run.config.model}")
    proposer = open_proposer(run.config.model)
    try:
        with (
            progress.status("working") as status,
            SandboxLaboratory(settings) as laboratory,
            LocalEvaluator(laboratory) as evaluator,
        ):

            def show(event: RunEvent) -> None:
                progress.print(f"  {event.text}")
                status.update(escape(event.text))

            run = run_search(archive, run.id, proposer, evaluator=evaluator, on_event=show)
    except (KeyboardInterrupt, UserError, InfraError):
        progress.print(f"nothing is lost; go on with: kernelwright optimize --resume {run.id}")
        raise
    report = OptimizeReport(
        run=run,
        best=None if run.best_attempt is None else archive.attempt(run.id, run.best_attempt),
        attempts=archive.attempts(run.id),
    )
    if as_json:
        emit_json(report)
    else:
        print_report(report, stored_in=archive.location, typed=typed)
    return 0 if report.best is not None else 1


def print_report(report: OptimizeReport, *, stored_in: str, typed: str | None = None) -> None:
    """Print a run for a person: its candidates, the best kernel, where it is, and what to type next.

    `typed` is the task as the person wrote it; a run that is looked up later knows only the task itself.
    """
    results.print(attempt_table(report.run, report.attempts))
    if report.run.message:
        results.print(report.run.message)
    best = report.best
    if best is None or best.candidate is None:
        results.print("No candidate passed. `kernelwright kernels show RUN:NUMBER` shows why, for each.")
        return
    name = f"{best.run_id}:{best.number}"
    print_source(best.candidate, f"best kernel {name}")
    if best.measurement is not None:
        print_measurement(best.measurement)
    results.print(f"Stored as {name} in {stored_in}.")
    results.print("Next:")
    for command, purpose in (
        (f"kernelwright kernels show {name} --source > best.cu", "the kernel alone"),
        (f"kernelwright verify {typed} {name}", "verify it again, with new secret values")
        if typed
        else (f"kernelwright kernels show {name}", "its verdict, check by check"),
        ("kernelwright serve", "browse runs and kernels at http://127.0.0.1:8000"),
        ("kernelwright dataset export kernels.jsonl", "every passed kernel as a fine-tuning set"),
    ):
        results.print(Text.assemble("  ", (command, "bold"), "  ", (purpose, "dim")))
