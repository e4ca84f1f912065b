"""`kernelwright tasks import`: tasks of other projects' suites, a user's file or package, or a part of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli.judge import InitOption, JsonOption, ShapeOption
from cli.loading import read_task
from cli.output import emit_json, progress, results
from cli.schemas import ImportReport
from cli.splitting import show_imported, split_model
from tasks.errors import UserError
from tasks.importers import Found, Imported, Suite, find_tasks, import_found, importer_of
from tasks.importers.module import is_module_name
from tasks.importers.settings import ImportSettings, setting_of
from tasks.saving import save_task
from tasks.values import Purpose


def import_tasks(
    source: Annotated[str, typer.Argument(help=f"A suite ({', '.join(Suite)}), a .py file, or package.module:Name.")],
    path: Annotated[
        Path | None, typer.Argument(help="The suite's checkout, or one of its files; the setting's by default.")
    ] = None,
    *,
    level: Annotated[int | None, typer.Option(help="KernelBench: problems of one level only.")] = None,
    ids: Annotated[list[str] | None, typer.Option("--id", help="Only this task; may be given again.")] = None,
    save: Annotated[Path | None, typer.Option(help="Folder for a reference and a manifest of each task.")] = None,
    split: Annotated[bool, typer.Option("--split", help="Cut the file's model into groups that fuse.")] = False,
    group: Annotated[int | None, typer.Option(help="With --split: make a task of this group.")] = None,
    shape: ShapeOption = None,
    init: InitOption = None,
    as_json: JsonOption = False,
) -> int:
    """Import tasks, and name what cannot be carried over with the reason.

    The exit code is 0 when every task was imported, 1 when some were refused.
    """
    if source not in set(Suite):
        if split:
            return split_model(_python_file(source), group, save, as_json=as_json)
        name = source if is_module_name(source) else str(_python_file(source))
        return show_imported(read_task(name, shape or (), init or ()), save, as_json=as_json)
    if split or shape or init:
        raise UserError(
            "--split is for a .py file, --shape and --init are for package.module:Name; a suite has neither"
        )
    return _import_suite(Suite(source), path, _Choice(level, tuple(ids or ())), save, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which tasks of a suite are wanted."""

    level: int | None
    ids: tuple[str, ...]


def _import_suite(suite: Suite, path: Path | None, choice: _Choice, save: Path | None, *, as_json: bool) -> int:
    from sandbox.reference import SandboxProber

    root = path or ImportSettings.load().folder_of(suite)
    if root is None:
        raise UserError(f"say where {suite} lies: give its folder, or set `{setting_of(suite)}` under [suites]")
    made: list[Imported] = []
    for found in _chosen(suite, root, choice):
        for imported in import_found(importer_of(suite), found, root, SandboxProber()):
            made.append(imported)
            _tell(imported)
            if save is not None and imported.task is not None:
                save_task(imported.task, save)
    if as_json:
        emit_json(ImportReport(imported=tuple(made)))
    else:
        _print(made)
    return 0 if all(imported.task is not None for imported in made) else 1


def _python_file(source: str) -> Path:
    if not source.endswith(".py"):
        raise UserError(f"'{source}' is no suite ({', '.join(Suite)}), no .py file and no package.module:Name")
    return Path(source)


def _chosen(suite: Suite, root: Path, choice: _Choice) -> list[Found]:
    level, ids = choice.level, choice.ids
    if level is not None and suite is not Suite.KERNELBENCH:
        raise UserError(f"--level chooses among the levels of {Suite.KERNELBENCH}; {suite} has none")
    found = find_tasks(suite, root)
    if level is not None:
        found = tuple(one for one in found if one.id.startswith(f"{level}/"))
    wanted = {f"{level}/{one}" if level is not None and "/" not in one else one for one in ids}
    missing = sorted(wanted - {one.id for one in found})
    if missing or not found:
        raise UserError(f"'{root}' holds no task '{missing[0] if missing else level}' of {suite}")
    return [one for one in found if not wanted or one.id in wanted]


def _tell(imported: Imported) -> None:
    outcome = "imported" if imported.task is not None else f"refused: {imported.refusal}"
    progress.print(f"{imported.suite}:{imported.id} {outcome}")


def _print(made: Sequence[Imported]) -> None:
    table = Table("task", "axes", "verify", "bench", "not carried over")
    for imported in made:
        task = imported.task
        if task is None:
            table.add_row(imported.id, "", "", "", f"refused: {imported.refusal}")
            continue
        counts = [str(len(task.workloads_for(purpose))) for purpose in (Purpose.VERIFY, Purpose.BENCH)]
        table.add_row(imported.id, ", ".join(a.name for a in task.axes), *counts, "\n".join(imported.notes))
    results.print(table)
    count = sum(imported.task is not None for imported in made)
    results.print(f"{count} of {len(made)} imported")
