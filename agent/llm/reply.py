"""From a model's reply to a candidate: fenced blocks, by a CommonMark parser rather than by patterns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from markdown_it import MarkdownIt
from markdown_it.token import Token

from sandbox.values import Candidate, Language, SourceFile

_THINK = re.compile(r"<(?P<tag>think|thinking|reasoning)>(?P<text>.*?)(?:</(?P=tag)>|\Z)", re.DOTALL)
_HEADLESS = re.compile(r"\A(?P<text>.*?)</(?:think|thinking|reasoning)>", re.DOTALL)
_CUDA_TAGS = frozenset({"cuda", "cu", "cpp", "c++", "cc", "c", "cuda-cpp", "cudacpp", "cuda_cpp", ""})
_PYTHON_TAGS = frozenset({"python", "py", "python3", "triton", ""})
_LAUNCH_TAGS = frozenset({"toml", "launch.toml"})


class Problem(StrEnum):
    """Why a reply gives no candidate; the word before the colon in `Proposal.problem`."""

    NO_CODE = "no code"
    NO_ENTRY = "no entry"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    REFUSED = "refused"


class ReplyError(Exception):
    """A reply that gives no candidate."""

    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(f"{problem.value}: {detail}")
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    tag: str
    """First word after the fence, in lower case."""
    text: str
    closed: bool
    """Whether the closing fence is there; without it the text may be cut."""


@dataclass(frozen=True, slots=True)
class Thought:
    """A reply's text with the reasoning split off."""

    answer: str
    reasoning: str


def split_reasoning(text: str) -> Thought:
    """Split `<think>` passages off a reply's text.

    A passage that is never closed runs to the end (the reply was cut while reasoning). A reply that begins within
    one, because the endpoint's chat template holds the opening tag, is split at the closing tag.
    """
    reasoning: list[str] = []
    if not _THINK.search(text[: _first_close(text)]) and (headless := _HEADLESS.match(text)):
        reasoning.append(headless["text"])
        text = text[headless.end() :]

    def cut(match: re.Match[str]) -> str:
        reasoning.append(match["text"])
        return ""

    answer = _THINK.sub(cut, text)
    return Thought(answer=answer.strip(), reasoning="\n\n".join(part.strip() for part in reasoning if part.strip()))


def _first_close(text: str) -> int:
    found = _HEADLESS.match(text)
    return found.end() if found else len(text)


def blocks(text: str) -> tuple[Block, ...]:
    """Return the fenced blocks of a reply, also those inside lists and quotes."""
    lines = text.splitlines()
    return tuple(
        Block(
            tag=(token.info.split() or [""])[0].lower().strip("{}."),
            text=token.content,
            closed=_is_closed(token, lines),
        )
        for token in MarkdownIt("commonmark").parse(text)
        if token.type == "fence"
    )


def _is_closed(token: Token, lines: Sequence[str]) -> bool:
    if token.map is None:
        return False
    first, end = token.map
    last = lines[end - 1].strip().lstrip("> ").strip() if end - 1 > first and end <= len(lines) else ""
    return len(last) >= len(token.markup) and set(last) == {token.markup[0]}


def candidate_from(text: str, entry: str, language: Language = Language.CUDA) -> Candidate:
    """Return the candidate that a reply holds.

    Of several blocks the last one that defines the entry is taken: models often show a draft or a fragment first
    and the whole file at the end. A `toml` block beside device code without a host entry makes a `raw` candidate.

    Parameters
    ----------
    text
        The reply without its reasoning.
    entry
        Host function that the candidate must define: `forward` or `backward`.
    language
        What was asked for: `cuda` (whose answer may also be `raw`) or `triton`.

    Raises
    ------
    ReplyError
        No block of code, or none that could be the kernel.
    """
    found = blocks(text)
    if language is Language.TRITON:
        return _triton_from(found, entry)
    sources = [block for block in found if block.tag in _CUDA_TAGS and block.text.strip()]
    if not sources:
        raise ReplyError(Problem.NO_CODE, "the reply has no fenced block of CUDA code")
    whole = [block for block in sources if block.closed and _defines(block.text, entry)]
    if whole:
        return Candidate(
            language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=whole[-1].text),), entry=entry
        )
    launch = [block for block in found if block.tag in _LAUNCH_TAGS and block.closed]
    kernels = [block for block in sources if block.closed and "__global__" in block.text]
    if launch and kernels:
        files = (
            SourceFile(name="kernel.cu", text=kernels[-1].text),
            SourceFile(name="launch.toml", text=launch[-1].text),
        )
        return Candidate(language=Language.RAW, files=files, entry=entry)
    if not sources[-1].closed:
        raise ReplyError(Problem.TRUNCATED, "the last block of code is not closed")
    raise ReplyError(Problem.NO_ENTRY, f"no block of code defines the host function `{entry}`")


def _triton_from(found: Sequence[Block], entry: str) -> Candidate:
    sources = [block for block in found if block.tag in _PYTHON_TAGS and block.text.strip()]
    if not sources:
        raise ReplyError(Problem.NO_CODE, "the reply has no fenced block of Python code")
    header = re.compile(rf"^def\s+{re.escape(entry)}\s*\(", re.MULTILINE)
    whole = [block for block in sources if block.closed and header.search(block.text)]
    if whole:
        file = SourceFile(name="kernel.py", text=whole[-1].text)
        return Candidate(language=Language.TRITON, files=(file,), entry=entry)
    if not sources[-1].closed:
        raise ReplyError(Problem.TRUNCATED, "the last block of code is not closed")
    raise ReplyError(Problem.NO_ENTRY, f"no block of code defines the function `{entry}`")


def _defines(source: str, entry: str) -> bool:
    """Return whether the source has a function of that name with a body (a declaration ends in a semicolon)."""
    return re.search(rf"\b{re.escape(entry)}\s*\([^;{{}}]*\)\s*\{{", source) is not None
