"""Parse PTX text (the output of nvcc, NVRTC and Triton) into typed records.

The grammar is that of the PTX ISA's chapters 'Syntax' and 'Directives'.
"""

from __future__ import annotations

from math import prod

from simgpu.errors import UnsupportedError
from simgpu.ptx.body import BodyParser
from simgpu.ptx.cursor import Cursor
from simgpu.ptx.declarations import parse_variable
from simgpu.ptx.syntax import Function, ModuleSyntax, Space, Variable
from simgpu.ptx.tokens import TokenKind

_SPACES = {".global": Space.GLOBAL, ".const": Space.CONST, ".shared": Space.SHARED}
_LINKAGES = {".visible", ".weak", ".common"}
_COUNTED = {".maxntid", ".reqntid"}
_IGNORED_COUNTS = {".minnctapersm", ".maxnctapersm", ".maxnreg", ".reqnctapercluster", ".maxclusterrank"}
_IGNORED_FLAGS = {".noreturn", ".explicitcluster", ".blocksareclusters"}


def parse_module(text: str) -> ModuleSyntax:
    """Parse one PTX module.

    Raises
    ------
    PtxSyntaxError
        When the text is not PTX.
    UnsupportedError
        When it holds a directive that simgpu lacks.
    """
    return _ModuleParser(text).parse()


class _ModuleParser:
    def __init__(self, text: str) -> None:
        self._cursor = Cursor(text)
        self._files: dict[int, str] = {}
        self._functions: list[Function] = []
        self._variables: list[Variable] = []
        self._version = self._target = ""

    def parse(self) -> ModuleSyntax:
        cursor = self._cursor
        self._read_files()
        while cursor.token.kind is not TokenKind.END:
            self._statement()
        if not self._version:
            raise cursor.error("the text has no .version directive")
        return ModuleSyntax(self._version, self._target, tuple(self._functions), tuple(self._variables))

    def _read_files(self) -> None:
        """Collect the `.file` table first: nvcc writes it after the functions that use it."""
        scan = self._cursor.fork()
        while scan.token.kind is not TokenKind.END:
            if scan.next().text == ".file" and scan.token.kind is TokenKind.NUMBER:
                number = scan.integer()
                self._files[number] = scan.next().text.strip('"')

    def _statement(self) -> None:
        cursor = self._cursor
        external = False
        while cursor.token.text in _LINKAGES or cursor.at(".extern"):
            external |= cursor.next().text == ".extern"
        token = cursor.next()
        if token.text == ".version":
            self._version = cursor.next().text
        elif token.text == ".target":
            self._target = cursor.word()
            while cursor.accept(","):
                cursor.word()
        elif token.text == ".address_size":
            if cursor.integer() != 64:  # noqa: PLR2004 - the one address size that still exists
                raise UnsupportedError(f".address_size other than 64 (PTX line {token.line})")
        elif token.text in _SPACES:
            self._variables.append(parse_variable(cursor, _SPACES[token.text], external=external))
            cursor.expect(";")
        elif token.text in {".entry", ".func"}:
            self._function(entry=token.text == ".entry")
        else:
            self._debug_directive(token.text, token.line)

    def _debug_directive(self, name: str, line: int) -> None:
        cursor = self._cursor
        if name == ".file":
            cursor.integer()
            cursor.next()
            while cursor.accept(","):
                cursor.integer()
        elif name == ".section":
            cursor.next()
            cursor.expect("{")
            cursor.skip_to("}")
        elif name in {".pragma", ".alias"}:
            cursor.skip_to(";")
        elif name != ";":
            raise UnsupportedError(f"directive {name} (PTX line {line})")

    def _function(self, *, entry: bool) -> None:
        cursor = self._cursor
        line = cursor.token.line
        results = () if entry or not cursor.at("(") else self._parameters()
        name = cursor.word()
        params = self._parameters() if cursor.at("(") else ()
        max_threads = self._attributes()
        if cursor.accept(";"):
            self._functions.append(Function(name, entry, results, params, (), (), None, line=line))
            return
        cursor.expect("{")
        body = BodyParser(cursor, self._files)
        body.parse()
        self._functions.append(
            Function(
                name,
                entry,
                results,
                params,
                tuple(body.registers),
                tuple(body.variables),
                tuple(body.body),
                body.branch_targets,
                max_threads,
                line,
            )
        )

    def _parameters(self) -> tuple[Variable, ...]:
        cursor = self._cursor
        cursor.expect("(")
        found: list[Variable] = []
        while not cursor.accept(")"):
            if not cursor.accept(".param"):
                raise UnsupportedError(f"function parameter in {cursor.token.text} (PTX line {cursor.token.line})")
            found.append(parse_variable(cursor, Space.PARAM))
            cursor.accept(",")
        return tuple(found)

    def _attributes(self) -> int | None:
        """Consume the performance directives between a signature and its body."""
        cursor = self._cursor
        threads = None
        while cursor.token.kind is TokenKind.DIRECTIVE:
            name = cursor.next().text
            if name in _COUNTED:
                threads = prod(self._counts())
            elif name in _IGNORED_COUNTS:
                self._counts()
            elif name == ".pragma":
                cursor.skip_to(";")
            elif name not in _IGNORED_FLAGS:
                raise UnsupportedError(f"directive {name} (PTX line {cursor.token.line})")
        return threads

    def _counts(self) -> list[int]:
        counts = [self._cursor.integer()]
        while self._cursor.accept(","):
            counts.append(self._cursor.integer())
        return counts
