"""What is read off a Python candidate without running it: its one file, its syntax, the Triton kernels it defines."""

from __future__ import annotations

import ast
from importlib import metadata

from sandbox.build.cache import content_key
from sandbox.build.compiler import Compiler
from sandbox.values import BuildError, BuildErrorKind, Candidate, SourceFile

_LONGEST_SOURCE = 400_000
"""Characters. The parser's memory grows with the text, and it runs outside the sandbox."""
_PACKAGES = ("torch", "triton")


def only_python(candidate: Candidate) -> SourceFile:
    """Return the candidate's one file.

    Raises
    ------
    BuildError
        There is not exactly one `.py` file, or it is too long.
    """
    if len(candidate.files) != 1 or not candidate.files[0].name.endswith(".py"):
        names = ", ".join(file.name for file in candidate.files) or "none"
        raise BuildError(BuildErrorKind.SPEC, f"a {candidate.language} candidate is one .py file, not {names}", "")
    source = candidate.files[0]
    if len(source.text) > _LONGEST_SOURCE:
        raise BuildError(
            BuildErrorKind.SPEC, f"{source.name} has {len(source.text)} characters, {_LONGEST_SOURCE} are read", ""
        )
    return source


def parse_python(source: SourceFile) -> ast.Module:
    """Parse a file; nothing of it is executed.

    Raises
    ------
    BuildError
        It is not Python, or nested too deeply to be read.
    """
    try:
        return ast.parse(source.text, source.name)
    except SyntaxError as error:
        text = (error.text or "").strip()[:200]
        place = f"{source.name}:{error.lineno}"
        raise BuildError(BuildErrorKind.SYNTAX, f"{place}: {error.msg}\n    {text}", str(error)) from error
    except (ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or type(error).__name__
        raise BuildError(BuildErrorKind.SYNTAX, f"{source.name}: cannot be parsed ({reason})", reason) from error


def jit_kernels(tree: ast.Module) -> tuple[str, ...]:
    """Return the names of the functions that are decorated with `triton.jit`, in the order of the file."""
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and any(_is_jit(decorator) for decorator in node.decorator_list)
    ]
    return tuple(dict.fromkeys(node.name for node in sorted(found, key=lambda node: node.lineno)))


def _is_jit(decorator: ast.expr) -> bool:
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name == "jit"


def python_key(candidate: Candidate, compiler: Compiler) -> str:
    """Return the part of the cache key that is particular to Python candidates: what imports them."""
    del candidate, compiler
    return content_key(*(f"{name} {_version(name)}" for name in _PACKAGES))


def python_toolchain() -> str:
    """Return the versions of what runs Python candidates, in one line."""
    return ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"
