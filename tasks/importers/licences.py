"""The licence of a checkout, told by the licence file nearest above a task's own files."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from pydantic import Field

from tasks.values import Value

UNKNOWN = "unknown"
"""Where no licence file lies above the task, or none whose wording is known."""

_TABLE = Path(__file__).with_name("licences.toml")
_NAMES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING")
_HEAD = 4000


class _Wording(Value):
    spdx: str
    """Identifier; `LicenseRef-...` for a licence that SPDX does not list."""
    phrases: tuple[str, ...] = Field(min_length=1)
    """All of these occur in the beginning of the licence's text, in lower case and with single blanks."""


class _Wordings(Value):
    licences: tuple[_Wording, ...]


def licence_above(path: Path, root: Path) -> str:
    """Return the SPDX identifier of the licence that covers `path`, `unknown` when there is none to be told.

    Parameters
    ----------
    path
        File or folder of the task.
    root
        Folder that the user named. Licence files are looked for from the task's folder up to the top of the checkout
        that holds `root`: the first folder with `.git`, or else three folders above it.
    """
    top = _top(root.resolve())
    here = path.resolve()
    for folder in (here, *here.parents):
        texts = [folder / name for name in _NAMES if (folder / name).is_file()]
        if texts:
            return _told(texts[0].read_text(encoding="utf-8", errors="replace"))
        if folder == top:
            break
    return UNKNOWN


def _top(root: Path) -> Path:
    above = (root, *root.parents)
    return next((folder for folder in above if (folder / ".git").exists()), above[min(3, len(above) - 1)])


def _told(text: str) -> str:
    head = " ".join(text[:_HEAD].lower().split())
    known = (one.spdx for one in _wordings() if all(phrase in head for phrase in one.phrases))
    return next(known, UNKNOWN)


@cache
def _wordings() -> tuple[_Wording, ...]:
    return _Wordings.model_validate(tomllib.loads(_TABLE.read_text(encoding="utf-8"))).licences
