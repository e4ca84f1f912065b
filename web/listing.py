"""Source text as HTML: highlighted kernels and differences."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers.c_cpp import CppLexer
from pygments.lexers.c_like import CudaLexer
from pygments.lexers.configs import TOMLLexer
from pygments.lexers.diff import DiffLexer
from pygments.lexers.python import PythonLexer

from dataset.values import AttemptRecord
from sandbox.values import Candidate
from tasks.errors import UserError


@dataclass(frozen=True, slots=True)
class Listing:
    """A file of a candidate, ready for a page."""

    name: str
    html: Markup
    """Highlighted source, already escaped."""


_LEXERS: dict[str, type[Lexer]] = {"cu": CudaLexer, "py": PythonLexer, "toml": TOMLLexer, "diff": DiffLexer}


def highlighted(text: str, suffix: str) -> Markup:
    """Return source as HTML, each line in a `span.line`; everything is escaped.

    Parameters
    ----------
    text
        The source.
    suffix
        File name suffix without the dot, which chooses the language.
    """
    lexer = _LEXERS.get(suffix, CppLexer)(stripnl=False)
    # Pygments closes its spans at the end of every line when it does not wrap.
    lines = highlight(text.replace("\0", "\N{REPLACEMENT CHARACTER}"), lexer, _formatter()).rstrip("\n").split("\n")
    return Markup("\n").join(Markup('<span class="line">{}</span>').format(Markup(line)) for line in lines)  # noqa: S704 - escaped by Pygments


def listings(attempt: AttemptRecord) -> tuple[Listing, ...]:
    """Return the files of an attempt's candidate, none if it has no candidate."""
    files = () if attempt.candidate is None else attempt.candidate.files
    return tuple(Listing(file.name, highlighted(file.text, file.name.rpartition(".")[2])) for file in files)


@cache
def highlight_css() -> str:
    """Return the style sheet of highlighted source, for light and dark."""
    # The stubs give `get_style_defs` no types.
    light = HtmlFormatter(style="xcode").get_style_defs(".code")  # type: ignore[no-untyped-call]
    dark = HtmlFormatter(style="github-dark").get_style_defs(".code")  # type: ignore[no-untyped-call]
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def source_of(attempt: AttemptRecord) -> Candidate:
    """Return the attempt's candidate.

    Raises
    ------
    UserError
        The attempt came to no candidate.
    """
    if attempt.candidate is None:
        msg = f"Attempt {attempt.run_id}:{attempt.number} holds no kernel: {attempt.problem}"
        raise UserError(msg)
    return attempt.candidate


def unified(left: AttemptRecord, right: AttemptRecord) -> str:
    """Return the unified diff from one kernel to another, empty when they are equal.

    Raises
    ------
    UserError
        One of the two holds no kernel.
    """
    before, after = (_text(source_of(attempt)).splitlines(keepends=True) for attempt in (left, right))
    return "".join(difflib.unified_diff(before, after, fromfile=_name(left), tofile=_name(right)))


def _name(attempt: AttemptRecord) -> str:
    return f"{attempt.run_id}:{attempt.number}"


def _text(candidate: Candidate) -> str:
    return "\n".join(file.text.rstrip("\n") + "\n" for file in candidate.files)


@cache
def _formatter() -> HtmlFormatter[str]:
    return HtmlFormatter(nowrap=True)
