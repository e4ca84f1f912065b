"""Tokens of PTX text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from simgpu.errors import PtxSyntaxError


class TokenKind(Enum):
    """What a token is."""

    WORD = auto()
    """A name, an opcode with its dotted modifiers, or a register."""
    DIRECTIVE = auto()
    """A name that begins with a dot."""
    NUMBER = auto()
    STRING = auto()
    PUNCTUATION = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One token and the line that it stands on."""

    kind: TokenKind
    text: str
    line: int


_PATTERN = re.compile(
    r"""
    (?P<space>[ \t\r\f]+|//[^\n]*)
  | (?P<newline>\n)
  | (?P<block>/\*.*?\*/)
  | (?P<number>0[fF][0-9a-fA-F]{8}|0[dD][0-9a-fA-F]{16}|0[xX][0-9a-fA-F]+U?|0[bB][01]+U?
        |\d+\.\d*(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+U?)
  | (?P<word>[A-Za-z_$%][\w$]*(?:(?:\.|::)[\w$]+)*)
  | (?P<directive>\.[A-Za-z_]\w*(?:::\w+)*)
  | (?P<string>"(?:[^"\\\n]|\\.)*")
  | (?P<punctuation>[{}()\[\],;:@!<>=+\-|*&~^?/%])
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS = {
    "number": TokenKind.NUMBER,
    "word": TokenKind.WORD,
    "directive": TokenKind.DIRECTIVE,
    "string": TokenKind.STRING,
    "punctuation": TokenKind.PUNCTUATION,
}


def tokenize(text: str) -> Iterator[Token]:
    """Yield the tokens of `text`, then one END token.

    Raises
    ------
    PtxSyntaxError
        At a character that begins no token.
    """
    line, position, end = 1, 0, len(text.rstrip("\0"))
    while position < end:
        match = _PATTERN.match(text, position, end)
        if match is None:
            raise PtxSyntaxError(f"line {line}: unexpected character {text[position]!r}")
        position = match.end()
        group = match.lastgroup or ""
        kind = _KINDS.get(group)
        if kind is not None:
            yield Token(kind, match.group(), line)
        elif group != "space":
            line += match.group().count("\n")
    yield Token(TokenKind.END, "", line)
