"""Reading the dotted modifiers of an opcode; one that nobody reads is an error by name."""

from __future__ import annotations

import re

from simgpu.errors import UnsupportedError
from simgpu.ptx.syntax import Instruction, ScalarType
from simgpu.refusal import refused

_KINDS = {kind.value: kind for kind in ScalarType}


class Modifiers:
    """The modifiers of one instruction that have not been read yet."""

    def __init__(self, instruction: Instruction) -> None:
        self._instruction = instruction
        self._rest = list(instruction.modifiers)

    def take(self, *names: str) -> str | None:
        """Remove and return the first of `names` that is present."""
        for name in names:
            if name in self._rest:
                self._rest.remove(name)
                return name
        return None

    def has(self, name: str) -> bool:
        """Remove a modifier and tell whether it was present."""
        return self.take(name) is not None

    def kind(self) -> ScalarType:
        """Remove and return the first type.

        Raises
        ------
        UnsupportedError
            When no (known) type is left.
        """
        for name in self._rest:
            if name in _KINDS:
                self._rest.remove(name)
                return _KINDS[name]
        raise self.error("no known type")

    def match(self, form: re.Pattern[str]) -> re.Match[str]:
        """Remove the first modifier of a form, such as a matrix shape, and return its match."""
        for name in self._rest:
            found = form.fullmatch(name)
            if found is not None:
                self._rest.remove(name)
                return found
        raise self.error("no known shape")

    def rest(self, count: int) -> list[str]:
        """Remove and return what is left, which must be so many modifiers."""
        if len(self._rest) != count:
            raise self.error(f"modifier .{'.'.join(self._rest)}")
        found, self._rest = self._rest, []
        return found

    def all(self) -> list[str]:
        """Remove and return what is left."""
        found, self._rest = self._rest, []
        return found

    def drop(self, *prefixes: str) -> None:
        """Remove modifiers that change nothing here, such as cache hints."""
        self._rest = [name for name in self._rest if not name.startswith(prefixes)]

    def done(self) -> None:
        """Refuse what was not read.

        Raises
        ------
        UnsupportedError
            Naming the modifiers.
        """
        if self._rest:
            raise self.error(f"modifier .{'.'.join(self._rest)}")

    def error(self, why: str) -> UnsupportedError:
        """Build the error that names the instruction."""
        return refused(self._instruction, why)
