"""Turns what a person types into values: tasks, candidates, attempts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from cli.schemas import VerifyReport
from dataset.archive import Archive
from dataset.values import AttemptRecord
from sandbox.values import Candidate, Language, SourceFile
from tasks.errors import UserError
from tasks.importers import is_suite_name, read_suite_task
from tasks.importers.module import is_module_name, read_module_task, wanted
from tasks.loading import load_task
from tasks.values import Direction, Task

_MODEL_NEW = re.compile(r"^\s*class\s+ModelNew\b", re.MULTILINE)
_TRITON = re.compile(r"^\s*@(?:triton\.)?jit\b", re.MULTILINE)
_ATTEMPT = re.compile(r"(?P<run>[A-Za-z0-9_-]+):(?P<number>\d+)")


def read_task(name: str, shapes: Sequence[str] = (), init: Sequence[str] = ()) -> Task:
    """Return the task of a file, a library slug, `SUITE:ID` or an op in a package; all but the library's are probed.

    Parameters
    ----------
    name
        As typed.
    shapes, init
        `--shape` and `--init` as typed: inputs and constructor's arguments of an op in a package.
    """
    from sandbox.reference import SandboxProber

    of_package = is_module_name(name) and not is_suite_name(name)
    if (shapes or init) and not of_package:
        raise UserError(f"--shape and --init are for an op in a package, as mypkg.layers:RMSNorm, not for '{name}'")
    if of_package:
        return read_module_task(name, wanted(shapes, init), SandboxProber())
    if is_suite_name(name):
        return read_suite_task(name, SandboxProber())
    return load_task(name, SandboxProber())


def read_verdict(file: Path) -> VerifyReport:
    """Return the verdict that a file of `verify --json` holds.

    Raises
    ------
    UserError
        There is no such file, or it holds something else.
    """
    try:
        return VerifyReport.model_validate_json(_read(file))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"{file} holds no verdict of `kernelwright verify --json`: {place}: {first['msg']}") from error


def read_attempt(archive: Archive, name: str) -> AttemptRecord:
    """Return the stored attempt that `RUN:NUMBER` names.

    Raises
    ------
    UserError
        The name has another form, or there is no such attempt.
    """
    match = _ATTEMPT.fullmatch(name)
    if match is None:
        raise UserError(f"'{name}' is no kernel: write RUN:NUMBER, as `kernelwright kernels list` shows them")
    return archive.attempt(match["run"], int(match["number"]))


def read_candidate(name: str, direction: Direction, language: Language | None = None) -> Candidate:
    """Return the candidate in a `.cu` or `.py` file, in a folder with `launch.toml`, or stored as `RUN:NUMBER`.

    Parameters
    ----------
    name
        As typed.
    direction
        Names the entry.
    language
        What the candidate is written in; told from the file when None.

    Raises
    ------
    UserError
        There is nothing of that name, it is none of these, or in another language; or a folder's file leads out of it.
    """
    path = Path(name)
    if path.is_dir():
        _expect(language, Language.RAW, path)
        return _raw_candidate(path)
    if path.is_file():
        text = _read(path)
        told = _language_of(path, text)
        if not (language and language.is_python and told.is_python):
            _expect(language, told, path)
        files = (SourceFile(name=path.name, text=text),)
        return Candidate(language=language or told, files=files, entry=direction.value)
    if _ATTEMPT.fullmatch(name):
        candidate = read_attempt(Archive.open(), name).candidate
        if candidate is None:
            raise UserError(f"attempt {name} holds no kernel; `kernelwright kernels show {name}` says why")
        return candidate
    raise UserError(f"there is no candidate '{name}': give a .cu or .py file, a folder with launch.toml, or RUN:NUMBER")


def _language_of(path: Path, text: str) -> Language:
    """Tell the language of a file by its name and content."""
    if path.suffix == ".cu":
        return Language.CUDA
    if path.suffix == ".py" and _MODEL_NEW.search(text):
        return Language.MODELNEW
    if path.suffix == ".py" and _TRITON.search(text):
        return Language.TRITON
    if path.suffix == ".py":
        raise UserError(f"{path} is no candidate: a .py file defines `class ModelNew` or functions with @triton.jit")
    raise UserError(f"{path} is no candidate: expected a .cu or .py file, or a folder with one .cu and launch.toml")


def _expect(language: Language | None, told: Language, path: Path) -> None:
    if language not in {None, told}:
        raise UserError(f"{path} is written in {told}, not in {language}")


def _raw_candidate(folder: Path) -> Candidate:
    sources = sorted(folder.glob("*.cu"))
    spec = folder / "launch.toml"
    if len(sources) != 1 or not spec.is_file():
        raise UserError(f"{folder} is no raw candidate: it needs exactly one .cu file and launch.toml")
    for path in (sources[0], spec):
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{path} is a link that leads out of the candidate's folder")
    files = tuple(SourceFile(name=path.name, text=_read(path)) for path in (sources[0], spec))
    return Candidate(language=Language.RAW, files=files)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"cannot read {path}: it is no text in UTF-8") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
