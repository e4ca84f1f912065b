"""Integer arithmetic over named sizes, as task manifests and reference sources write it: `2 * cols`, `rows // 4`.

Constraints are comparisons of such expressions: `heads % kv_heads == 0`.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

_MAX_EXPONENT = 64
_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[int, int], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class ExpressionError(ValueError):
    """The text is not integer arithmetic over the known names; the message says where it goes wrong."""


def evaluate(expression: int | str, names: Mapping[str, int]) -> int:
    """Evaluate `expression` with `+ - * // % **`, integers and names.

    Parameters
    ----------
    expression
        An integer, or text such as `2 * cols`.
    names
        Values of the names that may occur.

    Raises
    ------
    ExpressionError
        Anything else occurs, a name is unknown, or the arithmetic is undefined (division by zero).
    """
    return expression if isinstance(expression, int) else evaluate_node(_parsed(expression), names)


def holds(constraint: str, names: Mapping[str, int]) -> bool:
    """Tell whether a comparison of arithmetic expressions is true, for instance `1 <= window <= length`.

    Raises
    ------
    ExpressionError
        It is no comparison; or as for `evaluate`.
    """
    node = _parsed(constraint)
    if not isinstance(node, ast.Compare) or any(type(op) not in _COMPARISONS for op in node.ops):
        raise ExpressionError(f"'{constraint}' is not a comparison (== != < <= > >=)")
    values = [evaluate_node(side, names) for side in (node.left, *node.comparators)]
    compared = zip(node.ops, values, values[1:], strict=False)
    return all(_COMPARISONS[type(op)](left, right) for op, left, right in compared)


def evaluate_node(node: ast.expr, names: Mapping[str, int]) -> int:
    """Evaluate one syntax node by the rules of `evaluate`."""
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return value
        case ast.Name(id=name):
            if name not in names:
                known = ", ".join(sorted(names)) or "none"
                raise ExpressionError(f"unknown name '{name}' (known: {known})")
            return names[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -evaluate_node(operand, names)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _apply(op, evaluate_node(left, names), evaluate_node(right, names))
        case _:
            raise ExpressionError(f"'{ast.unparse(node)}' is not integer arithmetic (+ - * // % **)")


def _parsed(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise ExpressionError(f"'{text}' is not an arithmetic expression") from error


def _apply(op: ast.operator, left: int, right: int) -> int:
    if isinstance(op, ast.Pow) and not 0 <= right <= _MAX_EXPONENT:
        raise ExpressionError(f"exponent {right} is outside 0..{_MAX_EXPONENT}")
    if isinstance(op, ast.FloorDiv | ast.Mod) and right == 0:
        raise ExpressionError("division by zero")
    return _OPERATORS[type(op)](left, right)
