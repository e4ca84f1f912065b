"""Reads and rewrites the Python sources of suites, without executing them."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from keyword import iskeyword

from tasks.constants import parse_source
from tasks.importers.values import Scalar


def function_called(tree: ast.Module | ast.ClassDef, name: str) -> ast.FunctionDef | None:
    """Return the function or method of that name, None when there is none."""
    return next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name), None)


def class_called(tree: ast.Module, name: str) -> ast.ClassDef | None:
    """Return the class of that name, None when there is none."""
    return next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)


def free_name(name: str, taken: Collection[str]) -> str:
    """Return a name for a constant that `taken` does not hold: `name` itself where possible."""
    return f"setting_{name}" if name in taken or not name.isidentifier() or iskeyword(name) else name


def parameters_of(function: ast.FunctionDef) -> tuple[str, ...]:
    """Return the names of the parameters that take one value each."""
    given = function.args
    return tuple(argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs))


def scalar_defaults(function: ast.FunctionDef) -> dict[str, Scalar]:
    """Return the defaults that are literals, by parameter."""
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    defaults: list[tuple[ast.arg, ast.expr | None]] = list(
        zip(positional[len(positional) - len(given.defaults) :], given.defaults, strict=True)
    )
    defaults += zip(given.kwonlyargs, given.kw_defaults, strict=True)
    literals: dict[str, Scalar] = {}
    for argument, default in defaults:
        match default:
            case ast.Constant(value=bool() | int() | float() | str() | None as value):
                literals[argument.arg] = value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                literals[argument.arg] = -value
    return literals


def renamed(source: str, names: Mapping[str, str]) -> str:
    """Return `source` with its top-level functions of these names called otherwise; calls of them stay."""
    lines = source.splitlines(keepends=True)
    for node in parse_source(source).body:
        if isinstance(node, ast.FunctionDef) and node.name in names:
            line = lines[node.lineno - 1]
            lines[node.lineno - 1] = line.replace(f"def {node.name}", f"def {names[node.name]}", 1)
    return _ended("".join(lines))


def _ended(source: str) -> str:
    return source if source.endswith("\n") else source + "\n"
