"""Writes docs/cli.md out of the commands themselves: `python -m cli.reference > docs/cli.md`."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator

import typer
from pydantic import BaseModel
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from cli.doctor import DoctorReport
from cli.main import app
from cli.schemas import (
    BenchReport,
    BuildReport,
    DiffReport,
    ErrorReport,
    ImportReport,
    KernelList,
    OptimizeReport,
    ReplayReport,
    RunList,
    TaskCheckReport,
    TaskList,
    TaskSheet,
    VerifyReport,
)
from dataset.export import ExportSummary
from dataset.values import AttemptRecord
from tasks.fusion import ModelSplit

INTRODUCTION = """# Command line

Generated from the commands by `python -m cli.reference`; a test holds it to them.

Every command that takes `--json` prints one document of the schema named below on standard output, and nothing else;
progress and log records go to standard error. Exit codes: 0 done, 1 the candidate failed, 2 the user's mistake, 3
infrastructure, 130 interrupted. A failing command with `--json` prints an `ErrorReport`.

TASK is a Python file with the op, a slug of `kernelwright tasks list`, or `SUITE:ID` for one of another project's.
CANDIDATE is a `.cu` file, a folder with one `.cu` and `launch.toml`, or a stored kernel, `RUN:NUMBER`.
"""

SCHEMAS: dict[str, type[BaseModel]] = {
    "optimize": OptimizeReport,
    "verify": VerifyReport,
    "verify --replay": ReplayReport,
    "bench": BenchReport,
    "build": BuildReport,
    "doctor": DoctorReport,
    "tasks import": ImportReport,
    "tasks import --split": ModelSplit,
    "tasks list": TaskList,
    "tasks show": TaskSheet,
    "tasks check": TaskCheckReport,
    "runs list": RunList,
    "runs show": OptimizeReport,
    "runs resume": OptimizeReport,
    "kernels list": KernelList,
    "kernels show": AttemptRecord,
    "kernels diff": DiffReport,
    "dataset export": ExportSummary,
}
"""The schema behind each command's `--json`."""


def commands(group: TyperGroup, prefix: str = "") -> Iterator[tuple[str, TyperCommand]]:
    """Yield every command with its full name, groups unfolded."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{prefix}{name} ")
        elif isinstance(command, TyperCommand):
            yield f"{prefix}{name}", command


def render() -> str:
    """Return the whole page."""
    root = typer.main.get_command(app)
    if not isinstance(root, TyperGroup):
        raise TypeError("the application has no subcommands")
    parts = [INTRODUCTION]
    parts.extend(_section(name, command) for name, command in commands(root))
    parts.append("\n## Schemas\n")
    models: dict[str, type[BaseModel]] = {"ErrorReport": ErrorReport}
    models.update({model.__name__: model for model in SCHEMAS.values()})
    for name, model in sorted(models.items()):
        schema = json.dumps(model.model_json_schema(), indent=2, ensure_ascii=False)
        parts.append(f"\n### {name}\n\n```json\n{schema}\n```\n")
    return "".join(parts)


def _section(name: str, command: TyperCommand) -> str:
    arguments = [_label(parameter) for parameter in command.params if isinstance(parameter, TyperArgument)]
    text = f"\n## kernelwright {name}\n\n`{' '.join(['kernelwright', name, *arguments])}`\n\n"
    text += inspect.cleandoc(command.help or "") + "\n"
    rows = "".join(
        _row(parameter) for parameter in command.params if isinstance(parameter, TyperArgument | TyperOption)
    )
    text += f"\n| parameter | meaning | default |\n| --- | --- | --- |\n{rows}" if rows else ""
    if name in SCHEMAS:
        schema = SCHEMAS[name].__name__
        text += f"\n`--json` prints one [{schema}](#{schema.lower()}).\n"
    return text


def _label(argument: TyperArgument) -> str:
    label = argument.metavar or (argument.name or "").upper()
    return label if argument.required else f"[{label}]"


def _row(parameter: TyperArgument | TyperOption) -> str:
    label = _label(parameter) if isinstance(parameter, TyperArgument) else ", ".join(parameter.opts)
    shown = parameter.default not in (None, False) and isinstance(parameter.default, str | int | float)
    return f"| `{label}` | {parameter.help or ''} | {parameter.default if shown else ''} |\n"


if __name__ == "__main__":
    sys.stdout.write(render())
