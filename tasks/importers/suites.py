"""The suites that are read, and a task of theirs by its name `SUITE:ID`."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path

from tasks.errors import UserError
from tasks.importers.gpu_mode import GpuModeImporter
from tasks.importers.importing import Importer, import_found
from tasks.importers.kernelbench import KernelBenchImporter
from tasks.importers.robust_kbench import RobustKBenchImporter
from tasks.importers.settings import ImportSettings, setting_of
from tasks.importers.traces import FlashInferImporter, SolImporter
from tasks.importers.values import Found, Imported, Suite
from tasks.loading import Prober
from tasks.values import Task

_IMPORTERS: tuple[Importer, ...] = (
    KernelBenchImporter(),
    RobustKBenchImporter(),
    GpuModeImporter(),
    FlashInferImporter(),
    SolImporter(),
)
_NAME = re.compile(rf"(?P<suite>{'|'.join(re.escape(suite) for suite in Suite)}):(?P<id>[^@]+)(?:@(?P<variant>\d+))?")


def importer_of(suite: Suite) -> Importer:
    """Return the importer of a suite."""
    return next(importer for importer in _IMPORTERS if importer.suite is suite)


def find_tasks(suite: Suite, root: Path) -> tuple[Found, ...]:
    """Return the tasks of a suite at or below `root`.

    Raises
    ------
    UserError
        There is no such file or folder, or nothing of the suite's format in it.
    """
    if not root.exists():
        raise UserError(f"there is no file or folder '{root}'")
    found = importer_of(suite).find(root)
    if not found:
        raise UserError(f"'{root}' holds no task in the format of {suite}")
    return found


def is_suite_name(name: str) -> bool:
    """Tell whether `name` has the form `SUITE:ID`."""
    return _NAME.fullmatch(name) is not None


def read_suite_task(name: str, prober: Prober, settings: ImportSettings | None = None) -> Task:
    """Return the task called `SUITE:ID`, or `SUITE:ID@2` for a second variant, out of the checkout in the settings.

    Raises
    ------
    UserError
        The name has another form, no setting says where the suite lies, it holds no such task, or the task was refused.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise UserError(f"'{name}' is no task of a suite: write SUITE:ID, with one of {', '.join(Suite)}")
    suite, wanted = Suite(match["suite"]), int(match["variant"] or 1)
    root = (settings or ImportSettings.load()).folder_of(suite)
    if root is None:
        raise UserError(
            f"no setting says where {suite} lies: set `{setting_of(suite)}` under [suites] in kernelwright.toml, or "
            f"KERNELWRIGHT_{setting_of(suite).upper()}, to its checkout"
        )
    variants = import_found(importer_of(suite), _named(suite, match["id"], root), root, prober)
    made: list[Imported] = []
    for imported in variants:
        made.append(imported)
        if len(made) == wanted:
            break
    if len(made) < wanted:
        raise UserError(f"{suite}:{match['id']} has {len(made)} variant(s), so there is no '@{wanted}'")
    return _task_of(made[-1])


def _named(suite: Suite, task_id: str, root: Path) -> Found:
    known = {found.id: found for found in find_tasks(suite, root)}
    if task_id not in known:
        close = get_close_matches(task_id, known, n=3)
        hint = f" (did you mean {' or '.join(close)}?)" if close else ""
        raise UserError(
            f"{suite} holds no task '{task_id}'{hint}: `kernelwright tasks import {suite} {root}` lists them"
        )
    return known[task_id]


def _task_of(imported: Imported) -> Task:
    if imported.task is None:
        raise UserError(f"{imported.suite}:{imported.id} cannot be imported: {imported.refusal}")
    return imported.task
