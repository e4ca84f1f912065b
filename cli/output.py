"""Where output goes: results on standard output, everything else on standard error."""

from __future__ import annotations

import logging
import sys

from pydantic import BaseModel
from rich.console import Console
from rich.logging import RichHandler
from rich.text import Text

# What is printed comes from tasks, kernels and compilers: `x[normal]` is no style.
results = Console(highlight=False, markup=False)
progress = Console(stderr=True, highlight=False, markup=False)


def emit_json(value: BaseModel) -> None:
    """Write one JSON document to standard output, and nothing else."""
    sys.stdout.write(value.model_dump_json(indent=2) + "\n")


def set_up_logging(*, verbose: bool) -> None:
    """Send log records to standard error: warnings, or everything when verbose."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=progress, show_path=verbose, markup=False)],
        force=True,
    )


def outcome(*, passed: bool, status: str) -> Text:
    """Return a status in green or red, with a mark for those who see no colours."""
    return Text(f"✓ {status}" if passed else f"✗ {status}", style="green" if passed else "red")
