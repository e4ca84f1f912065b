"""Integer expressions over the shapes of tensors, evaluated without Python's `eval`.

The language: integer literals, names of symbols, `x.shape[0]`, `x.ndim`, `x.numel`, the operators `+ - * // %` and
unary minus, and the functions `min`, `max`, `cdiv` (division rounded up). Nothing else parses.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from math import prod

_MAX_LENGTH = 500
_MAX_MAGNITUDE = 1 << 62

Shapes = Mapping[str, tuple[int, ...]]
"""Sizes of each tensor by name."""


class ExpressionError(ValueError):
    """The expression is not in the language, names something unknown, or has no value."""


def evaluate(text: str, shapes: Shapes, symbols: Mapping[str, int] | None = None) -> int:
    """Compute an expression.

    Parameters
    ----------
    text
        The expression.
    shapes
        Sizes of the tensors that it may name.
    symbols
        Values of the other names that it may use.

    Raises
    ------
    ExpressionError
        Not in the language, an unknown name, a division by zero, or a value beyond 62 bits.
    """
    if len(text) > _MAX_LENGTH:
        raise ExpressionError(f"an expression is longer than {_MAX_LENGTH} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"`{text}` is not an expression") from error
    return _Evaluator(text, shapes, symbols or {}).value(tree.body)


def _cdiv(a: int, b: int) -> int:
    return -(-a // b)


_BINARY: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


class _Evaluator:
    def __init__(self, text: str, shapes: Shapes, symbols: Mapping[str, int]) -> None:
        self._text = text
        self._shapes = shapes
        self._symbols = symbols

    def value(self, node: ast.expr) -> int:
        try:
            result = self._value(node)
        except ZeroDivisionError as error:
            raise ExpressionError(f"`{self._text}` divides by zero") from error
        if abs(result) > _MAX_MAGNITUDE:
            raise ExpressionError(f"`{self._text}` does not fit 62 bits")
        return result

    def _value(self, node: ast.expr) -> int:  # noqa: PLR0911 -- one return per form of the language
        match node:
            case ast.Constant(value=int() as number) if not isinstance(number, bool):
                return number
            case ast.Name(id=name):
                return self._symbol(name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.value(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return _BINARY[type(op)](self.value(left), self.value(right))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, [self.value(argument) for argument in arguments])
            case ast.Attribute(value=ast.Name(id=tensor), attr="numel"):
                return prod(self._shape(tensor))
            case ast.Attribute(value=ast.Name(id=tensor), attr="ndim"):
                return len(self._shape(tensor))
            case ast.Subscript(value=ast.Attribute(value=ast.Name(id=tensor), attr="shape"), slice=index):
                return self._size(tensor, self.value(index))
            case _:
                raise ExpressionError(
                    f"`{self._text}`: `{ast.unparse(node)}` is not allowed; use integers, names, x.shape[i], x.ndim,"
                    " x.numel, + - * // %, min, max, cdiv"
                )

    def _call(self, name: str, arguments: list[int]) -> int:
        match name, arguments:
            case "min", [_, *_]:
                return min(arguments)
            case "max", [_, *_]:
                return max(arguments)
            case "cdiv", [a, b]:
                return _cdiv(a, b)
            case _:
                raise ExpressionError(f"`{self._text}`: there is no {name}() of {len(arguments)} arguments")

    def _symbol(self, name: str) -> int:
        if name not in self._symbols:
            raise ExpressionError(f"`{self._text}`: the name `{name}` is not known")
        return self._symbols[name]

    def _shape(self, tensor: str) -> tuple[int, ...]:
        if tensor not in self._shapes:
            raise ExpressionError(f"`{self._text}`: there is no tensor `{tensor}`")
        return self._shapes[tensor]

    def _size(self, tensor: str, index: int) -> int:
        shape = self._shape(tensor)
        if not -len(shape) <= index < len(shape):
            raise ExpressionError(f"`{self._text}`: `{tensor}` has {len(shape)} axes")
        return shape[index]
