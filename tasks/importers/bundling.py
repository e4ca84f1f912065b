"""Collects a Python module and all modules of the user's that it imports, by reading them; nothing is executed.

The sandbox sees the installed packages, but not the user's own folders: what lies there has to be handed in.
"""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path

from tasks.errors import UserError
from tasks.values import Value

_MOST_BYTES = 1 << 20


class Module(Value):
    """One module's text."""

    name: str
    """Dotted name."""
    source: str
    """Python source."""
    is_package: bool
    """Whether it is a package's `__init__`."""


class Bundle(Value):
    """A module with everything of the user's that importing it executes; empty for an installed one."""

    modules: tuple[Module, ...]
    """By name."""


class Library:
    """Where modules are looked for: the folders of `sys.path`, the working directory first.

    Parameters
    ----------
    folders
        Folders to search instead.
    """

    def __init__(self, folders: Sequence[str] | None = None) -> None:
        self._folders = [str(Path.cwd()), *sys.path] if folders is None else list(folders)
        self._finders: dict[str, FileFinder] = {}
        paths = sysconfig.get_paths()
        self._installed = [Path(paths[key]).resolve() for key in ("purelib", "platlib", "stdlib", "platstdlib")]

    def find(self, name: str) -> Module | None:
        """Return the module of this dotted name; None where there is none of Python text."""
        spec = self._spec(name)
        if spec is None:
            return None
        if spec.origin is None:  # a package without `__init__`
            return Module(name=name, source="", is_package=True)
        try:
            source = Path(spec.origin).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"the module '{name}' cannot be read: {error}") from error
        return Module(name=name, source=source, is_package=spec.submodule_search_locations is not None)

    def is_installed(self, name: str) -> bool:
        """Tell whether a module lies in the interpreter's own folders, which the sandbox sees too."""
        spec = self._spec(name)
        places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
        paths = [Path(place).resolve() for place in places if place]
        return not paths or any(path.is_relative_to(root) for path in paths for root in self._installed)

    def bundle(self, name: str) -> Bundle:
        """Return the module called `name`, the packages around it, and whatever of the user's these import.

        Raises
        ------
        UserError
            There is no such module, a file is not Python, or it is too much text.
        """
        if self.find(name) is None:
            raise UserError(f"there is no Python module '{name}' in the working directory or on the path")
        collected: dict[str, Module] = {}
        pending = list(_with_parents(name))
        while pending:
            current = pending.pop()
            if current in collected or self.is_installed(current):
                continue
            module = self.find(current)
            if module is None:
                continue
            collected[current] = module
            pending.extend(one for found in imported_names(module) for one in _with_parents(found))
        if sum(len(module.source) for module in collected.values()) > _MOST_BYTES:
            raise UserError(
                f"'{name}' imports {len(collected)} modules of more than 1 MiB together: too many to hand on"
            )
        return Bundle(modules=tuple(collected[key] for key in sorted(collected)))

    def _spec(self, name: str) -> ModuleSpec | None:
        """Find a module of Python text as the import system does, without importing the packages around it."""
        folders: Sequence[str] = self._folders
        spec: ModuleSpec | None = None
        parts = name.split(".")
        for count in range(1, len(parts) + 1):
            spec = self._below(folders, ".".join(parts[:count]))
            if spec is None:
                return None
            folders = list(spec.submodule_search_locations or ())
        return spec

    def _below(self, folders: Sequence[str], name: str) -> ModuleSpec | None:
        """Return the first module of this name; a folder without `__init__` only where nothing else is."""
        bare: ModuleSpec | None = None
        for folder in folders:
            spec = self._finder(folder).find_spec(name)
            if spec is not None and spec.origin is not None:
                return spec
            bare = bare or spec
        return bare

    def _finder(self, folder: str) -> FileFinder:
        if folder not in self._finders:
            self._finders[folder] = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES))
        return self._finders[folder]


def imported_names(module: Module) -> Iterator[str]:
    """Yield the dotted names that a module's import statements name, those of `from a import b` as `a` and `a.b`.

    Raises
    ------
    UserError
        The module is not Python.
    """
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = origin_of(module, node)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def origin_of(module: Module, statement: ast.ImportFrom) -> str:
    """Return the module that a `from ... import` names, relative ones resolved."""
    if not statement.level:
        return statement.module or ""
    parts = module.name.split(".")
    package = parts[: len(parts) - statement.level + (1 if module.is_package else 0)]
    return ".".join([*package, *([statement.module] if statement.module else [])])


def parsed(module: Module) -> ast.Module:
    """Return a module's syntax tree; UserError where it is not Python."""
    try:
        return ast.parse(module.source)
    except SyntaxError as error:
        raise UserError(
            f"the module '{module.name}' is not valid Python at line {error.lineno}: {error.msg}"
        ) from error


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))
