"""Makes one source of a module and the modules beside it, with only the definitions that an op needs."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.constants import parse_source
from tasks.errors import UserError


@dataclass(frozen=True, slots=True)
class _Definition:
    """A top-level statement, the names that it binds, and the names that it mentions."""

    text: str
    binds: frozenset[str]
    mentions: frozenset[str]
    module: str
    """Which of the files it comes from; empty for the main one."""
    always: bool = False
    """Whether it stays though nothing mentions it: imports from `__future__`."""

    @property
    def is_import(self) -> bool:
        """Whether it only makes a name of another module known."""
        return self.text.startswith(("import ", "from "))


def flattened(source: str, beside: Mapping[str, str], wanted: Sequence[str]) -> str:
    """Return the definitions of `wanted` and whatever they mention, each as it is written in its file.

    Parameters
    ----------
    source
        The main module.
    beside
        Sources by module name. `from NAME import ...` of one of them is replaced by the definitions imported.
    wanted
        Names that the main module defines.

    Raises
    ------
    UserError
        The main module lacks a wanted name, a source is not Python, or two modules define different things of one name.
    """
    definitions = [*_beside(source, beside, frozenset()), *_definitions(source, beside)]
    bound = {name for definition in definitions for name in definition.binds}
    missing = [name for name in wanted if name not in bound]
    if missing:
        raise UserError(f"the reference defines no '{missing[0]}'")
    needed = _needed(definitions, wanted)
    kept = [one for one in definitions if one.always or one.binds & needed]
    _require_one_meaning(kept)
    imports = sorted((one for one in kept if one.is_import), key=lambda one: not one.always)
    rest = [one for one in kept if not one.is_import]
    return "\n".join(_texts(imports)) + "\n\n\n" + "\n\n\n".join(_texts(rest)) + "\n"


def _beside(source: str, beside: Mapping[str, str], seen: frozenset[str]) -> Iterator[_Definition]:
    """Yield the definitions of the modules that are imported from, the innermost first."""
    for node in ast.walk(parse_source(source)):
        module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
        if module in beside and module not in seen:
            yield from _beside(beside[module], beside, seen | {module})
            yield from _definitions(beside[module], beside, module)


def _definitions(source: str, beside: Mapping[str, str], module: str = "") -> Iterator[_Definition]:
    lines = source.splitlines()
    for statement in parse_source(source).body:
        if isinstance(statement, ast.ImportFrom) and statement.module in beside:
            yield from _renames(statement, module)
            continue
        if isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test):
            continue  # what the file does when it is run as a program
        decorators = statement.decorator_list if isinstance(statement, ast.FunctionDef | ast.ClassDef) else []
        start = min([statement.lineno, *(one.lineno for one in decorators)])
        yield _Definition(
            text="\n".join(lines[start - 1 : statement.end_lineno]),
            binds=frozenset(_bound(statement)),
            mentions=frozenset(n.id for n in ast.walk(statement) if isinstance(n, ast.Name)),
            module=module,
            always=isinstance(statement, ast.ImportFrom) and statement.module == "__future__",
        )


def _renames(statement: ast.ImportFrom, module: str) -> Iterator[_Definition]:
    """Yield an assignment for each name that a module beside is imported under another name."""
    for alias in statement.names:
        if alias.asname and alias.asname != alias.name:
            text = f"{alias.asname} = {alias.name}"
            yield _Definition(text, frozenset({alias.asname}), frozenset({alias.name}), module)


def _bound(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            yield from (alias.asname or alias.name.split(".")[0] for alias in aliases)
        case ast.Expr():
            return
        case _:
            stores = (n for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
            yield from (name.id for name in stores)


def _needed(definitions: Iterable[_Definition], wanted: Sequence[str]) -> set[str]:
    listed = list(definitions)
    needed: set[str] = set()
    pending = list(wanted)
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            pending.extend(n for one in listed if name in one.binds for n in one.mentions)
    return needed


def _require_one_meaning(kept: Sequence[_Definition]) -> None:
    """Raise where two files define one name differently; within one file the later definition wins, as always."""
    first: dict[str, _Definition] = {}
    for definition in kept:
        for name in definition.binds:
            other = first.setdefault(name, definition)
            differ = other.module != definition.module and other.text != definition.text
            if differ and not (other.is_import and definition.is_import):
                raise UserError(f"'{name}' is defined twice with different meanings in the files of the task")


def _texts(definitions: Iterable[_Definition]) -> list[str]:
    return list(dict.fromkeys(definition.text for definition in definitions))
