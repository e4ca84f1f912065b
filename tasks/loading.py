"""Finds tasks by name: a reference file of the user's, or a task of the library. Never executes a reference itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Protocol

from tasks.errors import UserError
from tasks.inference import task_from_probe
from tasks.manifest import read_manifest_task
from tasks.values import ProbeResult, Task

Sizes = Mapping[str, int]
"""Values of a source's module-level constants."""

LIBRARY = Path(__file__).parent / "library"
"""Folder of the library: one `NAME.py` and `NAME.toml` for each task."""

_LARGEST_SOURCE = 1 << 20


class Prober(Protocol):
    """Executes a reference source where it can do no harm (see `tasks.reference.probe`)."""

    def probe(self, source: str, stated: Sequence[Sizes] = ()) -> ProbeResult:
        """Describe the op that `source` states, at the sizes that `stated` asks for too.

        Raises
        ------
        UserError
            The source states no usable op; the sentence says why, with the reference's own error if it raised.
        InfraError
            It could not be executed here.
        """


def load_task(name: str, prober: Prober) -> Task:
    """Return the task called `name`.

    Parameters
    ----------
    name
        Path of a `.py` file (KernelBench style or a plain function), or the slug of a library task. Where a manifest
        lies beside the file (`op.toml` beside `op.py`; either may be named), it says what the task is.
    prober
        Executes the file's source; a task with a manifest needs no execution.

    Raises
    ------
    UserError
        There is no such file or library task, or the file states no usable op.
    """
    path = Path(name)
    if path.suffix in {".py", ".toml"} or path.exists() or len(path.parts) > 1:
        source = read_source(path.with_suffix(".py") if path.suffix == ".toml" else path)
        if path.with_suffix(".toml").exists():
            return read_manifest_task(path.with_suffix(".py"))
        return task_from_probe(path.stem, source, prober.probe(source))
    return library_task(name)


@cache
def library() -> tuple[Task, ...]:
    """Return every task of the library, by slug."""
    return tuple(read_manifest_task(path) for path in sorted(LIBRARY.glob("*.py")))


def library_task(slug: str) -> Task:
    """Return the library task with this slug.

    Raises
    ------
    UserError
        There is none; the message names the closest ones.
    """
    tasks = {task.slug: task for task in library()}
    if slug not in tasks:
        hint = _hint(slug, list(tasks))
        raise UserError(f"there is no task '{slug}'{hint}; 'kernelwright tasks list' lists them, or give a .py file")
    return tasks[slug]


def read_source(path: Path) -> str:
    """Return the text of a reference file; `UserError` with a hint when there is none, or it is no Python file."""
    if path.is_dir():
        raise UserError(f"'{path}' is a folder: give one .py file, or a task from 'kernelwright tasks list'")
    if not path.exists():
        near = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        slugs = [task.slug for task in library()]
        hint = _hint(path.name, near) or _hint(path.stem, slugs)
        raise UserError(f"there is no file '{path}'{hint}; 'kernelwright tasks list' lists the tasks of the library")
    if path.suffix != ".py":
        raise UserError(
            f"'{path}' is not a .py file: a task is a Python file, or a name from 'kernelwright tasks list'"
        )
    try:
        data = path.read_bytes()
        if len(data) > _LARGEST_SOURCE:
            raise UserError(f"'{path}' has {len(data)} bytes, too many for a reference source")
        return data.decode("utf-8")
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"'{path}' is not UTF-8 text") from error


def _hint(wanted: str, known: list[str]) -> str:
    close = get_close_matches(wanted, known, n=3)
    return f" (did you mean {' or '.join(close)}?)" if close else ""
