"""Exports: the kernels that passed, as JSON lines for fine-tuning."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TextIO

from dataset.archive import Archive
from dataset.chat import ChatRow, chat_row
from sandbox.values import Basis
from tasks.errors import InfraError, UserError
from tasks.values import Value


class ExportSummary(Value):
    """What an export wrote."""

    path: Path
    """The file."""
    rows: int
    """Lines in it."""
    tasks: int
    """Distinct tasks among them."""
    with_reasoning: int
    """Rows that carry a model's reasoning."""
    measured: int
    """Rows whose speed-up was measured on a GPU."""
    modelled: int
    """Rows whose speed-up was modelled by the simulator."""


def chat_rows(archive: Archive) -> Iterator[ChatRow]:
    """Yield a row per kernel that passed, oldest first; the same kernel for one task and device comes once."""
    task_of = lru_cache(maxsize=64)(lambda run_id: archive.run(run_id).config.task)
    seen: set[tuple[str, str, str]] = set()
    for attempt in archive.passed():
        row = chat_row(task_of(attempt.run_id), attempt)
        key = (row.task_hash, row.candidate_hash, row.device)
        if key not in seen:
            seen.add(key)
            yield row


def chat_line(row: ChatRow) -> str:
    """Return the row as one line of JSON."""
    return row.model_dump_json() + "\n"


def export_chat(archive: Archive, path: Path) -> ExportSummary:
    """Write the chat rows to `path` as JSON lines, whole or not at all.

    Raises
    ------
    UserError
        `path` cannot be written.
    InfraError
        The disk is full.
    """
    rows = with_reasoning = measured = modelled = 0
    tasks = set()
    with whole_file(path) as stream:
        for row in chat_rows(archive):
            stream.write(chat_line(row))
            rows += 1
            tasks.add(row.task_hash)
            with_reasoning += bool(row.reasoning)
            measured += row.basis is Basis.MEASURED
            modelled += row.basis is Basis.MODELLED
    return ExportSummary(
        path=path,
        rows=rows,
        tasks=len(tasks),
        with_reasoning=with_reasoning,
        measured=measured,
        modelled=modelled,
    )


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """Open a file beside `path` that takes its place only once everything is on the disk.

    Raises
    ------
    UserError
        `path` cannot be written.
    InfraError
        The disk is full.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("x", encoding="utf-8", newline="\n") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            msg = f"The disk is full: {path} was not written. Free some space and repeat."
            raise InfraError(msg) from error
        msg = f"{path} cannot be written ({error.strerror}); name another place."
        raise UserError(msg) from error
    finally:
        part.unlink(missing_ok=True)
