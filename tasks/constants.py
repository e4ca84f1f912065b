"""A reference source's sizes: its module-level integer constants, read and rewritten without executing it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping

from tasks.errors import UserError
from tasks.expressions import ExpressionError, evaluate_node

SOURCE_NAME = "<reference>"
"""File name under which a reference source is compiled; tracebacks show it."""


def parse_source(source: str) -> ast.Module:
    """Parse a reference source.

    Raises
    ------
    UserError
        It is not Python.
    """
    try:
        return ast.parse(source, SOURCE_NAME)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f" at line {line}" if line else ""
        reason = getattr(error, "msg", None) or str(error)
        raise UserError(f"the reference is not valid Python{where}: {reason}") from error


def module_constants(source: str) -> dict[str, int]:
    """Return the module-level constants `NAME = <integer>` of `source`, in order of appearance.

    Arithmetic on literals (`64 * 1024`), annotations (`rows: int = 8`) and unpacking (`rows, cols = 8, 16`) count;
    a name that is bound twice, or to anything that refers to another name, does not.
    """
    tree = parse_source(source)
    constants = {name.id: value for name, node in _assignments(tree) if (value := _integer(node)) is not None}
    return {name: value for name, value in constants.items() if _bindings(tree)[name] == 1}


def with_constants(source: str, values: Mapping[str, int]) -> ast.Module:
    """Return the syntax tree of `source` with the named module-level constants set to `values`.

    Raises
    ------
    UserError
        A name in `values` is not a module-level integer constant of `source`.
    """
    known = module_constants(source)
    for name in values:
        if name not in known:
            listed = ", ".join(known) or "none"
            raise UserError(f"the reference has no module-level integer constant '{name}' (it has: {listed})")
    tree = parse_source(source)
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) if name in values:
                statement.value = _literal(values[name], statement)
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=stated) as right):
                right.elts = [
                    _literal(values[target.id], value)
                    if isinstance(target, ast.Name) and target.id in values
                    else value
                    for target, value in zip(targets, stated, strict=False)
                ]
    return tree


def _literal(value: int, place: ast.AST) -> ast.expr:
    return ast.fix_missing_locations(ast.copy_location(ast.Constant(value), place))


def _assignments(tree: ast.Module) -> Iterator[tuple[ast.Name, ast.expr]]:
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name() as target], value=value):
                yield target, value
            case ast.AnnAssign(target=ast.Name() as target, value=ast.expr() as value):
                yield target, value
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                if len(targets) == len(values):
                    for left, right in zip(targets, values, strict=True):
                        if isinstance(left, ast.Name):
                            yield left, right


def _bindings(tree: ast.Module) -> Counter[str]:
    """Count how often each name is bound by the module's own statements (functions and classes left out)."""
    counts: Counter[str] = Counter()
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            counts[statement.name] += 1
            continue
        stores = (n for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
        counts.update(name.id for name in stores)
    return counts


def _integer(node: ast.expr) -> int | None:
    try:
        return evaluate_node(node, {})
    except ExpressionError:
        return None
