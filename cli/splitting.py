"""`kernelwright tasks import model.py --split`: one part of a whole model as a task."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from cli.output import emit_json, progress, results
from tasks.errors import UserError
from tasks.fusion import Group, ModelSplit
from tasks.inference import slug_of, task_from_probe
from tasks.loading import read_source
from tasks.saving import save_task
from tasks.values import Provenance, Task

_SHOWN = 4
"""Operators of a group that its row names."""


def split_model(file: Path, number: int | None, save: Path | None, *, as_json: bool) -> int:
    """List a model's groups, or make a task of one."""
    from sandbox.reference import SandboxProber

    prober = SandboxProber()
    model = prober.split(read_source(file))
    if number is None:
        if save is not None:
            raise UserError("--save with --split needs --group: say which group to save")
        if as_json:
            emit_json(model)
        else:
            _print_groups(model)
        return 0
    group = _group(model, number)
    task = task_from_probe(slug_of(f"{file.stem}-group-{number}"), group.source, prober.probe(group.source))
    origin = Provenance(origin=f"group {number} of {file.name}", licence="unknown")
    return show_imported(task.model_copy(update={"provenance": origin}), save, as_json=as_json)


def show_imported(task: Task, save: Path | None, *, as_json: bool) -> int:
    """Say what became of a file, and save it where that is wanted."""
    if save is not None:
        progress.print(f"saved {save_task(task, save)}")
    if as_json:
        emit_json(task)
    else:
        axes = ", ".join(axis.name for axis in task.axes) or "none"
        results.print(f"{task.slug}: {task.title}; axes: {axes}; {len(task.workloads)} workloads")
    return 0


def _group(model: ModelSplit, number: int) -> Group:
    if not 1 <= number <= len(model.groups):
        raise UserError(f"the model has the groups 1 to {len(model.groups)}, and no group {number}")
    group = model.groups[number - 1]
    if group.refusal:
        raise UserError(f"group {number} makes no task: {group.refusal}")
    return group


def _print_groups(model: ModelSplit) -> None:
    table = Table("group", "bytes", "operations", "operators")
    for group in model.groups:
        names = [op.removeprefix("aten::") for op in group.ops]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        shares = (f"{group.byte_share:.1%}", f"{group.flop_share:.1%}")
        refused = f" ({group.refusal})" if group.refusal else ""
        table.add_row(str(group.number), *shares, f"{', '.join(names[:_SHOWN])}{more}{refused}")
    results.print(table)
    results.print(f"eager PyTorch moves {model.nbytes:,} bytes and computes {model.flops:,} operations in all")
