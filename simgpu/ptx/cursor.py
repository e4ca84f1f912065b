"""A cursor over tokens, and the constants that PTX writes."""

from __future__ import annotations

import struct
from copy import copy

from simgpu.errors import PtxSyntaxError
from simgpu.ptx.syntax import FloatImmediate, Immediate
from simgpu.ptx.tokens import Token, TokenKind, tokenize


class Cursor:
    """Reads tokens one after the other with one token of look-ahead."""

    def __init__(self, text: str) -> None:
        self._tokens = list(tokenize(text))
        self._position = 0

    def fork(self) -> Cursor:
        """Return a second cursor over the same tokens, at the same place."""
        return copy(self)

    @property
    def token(self) -> Token:
        """The next token, not yet consumed."""
        return self._tokens[self._position]

    @property
    def following(self) -> Token:
        """The token after the next one."""
        return self._tokens[min(self._position + 1, len(self._tokens) - 1)]

    def next(self) -> Token:
        """Consume and return the next token."""
        token = self._tokens[self._position]
        if token.kind is not TokenKind.END:
            self._position += 1
        return token

    def at(self, text: str) -> bool:
        """Whether the next token reads `text`."""
        return self._tokens[self._position].text == text

    def accept(self, text: str) -> bool:
        """Consume the next token if it reads `text`."""
        if self._tokens[self._position].text != text:
            return False
        self.next()
        return True

    def expect(self, text: str) -> Token:
        """Consume the next token, which must read `text`."""
        if self._tokens[self._position].text != text:
            raise self.error(f"expected {text!r}")
        return self.next()

    def word(self) -> str:
        """Consume a name."""
        token = self.next()
        if token.kind is not TokenKind.WORD:
            raise PtxSyntaxError(f"line {token.line}: expected a name, found {token.text!r}")
        return token.text

    def integer(self) -> int:
        """Consume an integer constant with its sign."""
        constant = self.constant()
        if not isinstance(constant, Immediate):
            raise self.error("expected an integer")
        return constant.value

    def constant(self) -> Immediate | FloatImmediate:
        """Consume a signed numeric constant."""
        negative = False
        while self.token.text in {"-", "+"}:
            negative ^= self.next().text == "-"
        token = self.next()
        if token.kind is not TokenKind.NUMBER:
            raise PtxSyntaxError(f"line {token.line}: expected a number, found {token.text!r}")
        constant = parse_number(token.text)
        if not negative:
            return constant
        if isinstance(constant, Immediate):
            return Immediate(-constant.value)
        return FloatImmediate(constant.bits ^ 1 << constant.width - 1, constant.width)

    def skip_to(self, text: str) -> None:
        """Consume everything up to and including `text`."""
        while not self.accept(text):
            if self.token.kind is TokenKind.END:
                raise self.error(f"expected {text!r}")
            self.next()

    def error(self, message: str) -> PtxSyntaxError:
        """Build the error that names the present line and token."""
        return PtxSyntaxError(f"line {self.token.line}: {message}, found {self.token.text or 'the end'!r}")


def parse_number(text: str) -> Immediate | FloatImmediate:
    """Read a PTX constant: decimal, hexadecimal, binary, octal, `0f`/`0d` bits or a decimal fraction."""
    prefix = text[:2].lower()
    if prefix == "0f":
        return FloatImmediate(int.from_bytes(bytes.fromhex(text[2:])), 32)
    if prefix == "0d":
        return FloatImmediate(int.from_bytes(bytes.fromhex(text[2:])), 64)
    digits = text.removesuffix("U")
    if prefix == "0x":
        return Immediate(int(digits, 16))
    if prefix == "0b":
        return Immediate(int(digits, 2))
    if not digits.isdigit():
        return FloatImmediate(int.from_bytes(struct.pack("<d", float(digits)), "little"), 64)
    return Immediate(int(digits, 8) if len(digits) > 1 and digits[0] == "0" else int(digits))
