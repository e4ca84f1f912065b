"""Tells, by reading only, which expressions of a source are tensors for sure."""

from __future__ import annotations

import ast

from tasks.importers.sources import function_called

_ONLY_OF_TENSORS = "contiguous"
"""A method that nothing but a tensor has."""


class TensorReading:
    """What can be read off one source.

    Parameters
    ----------
    tree
        Its functions are followed where they are called.
    """

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._followed: set[str] = set()

    def is_tensor(self, function: ast.FunctionDef, element: ast.expr) -> bool:
        """Tell whether `element`, which `function` returns, is a tensor: False where that is not to be seen."""
        if not isinstance(element, ast.Name):
            return isinstance(element, ast.Call) and self._makes_tensor(element)
        values = [
            node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id == element.id for t in node.targets)
        ]
        return bool(values) and all(self._makes_tensor(value) for value in values)

    def _makes_tensor(self, value: ast.expr) -> bool:
        match value:
            case ast.Call(func=ast.Attribute(value=inner, attr=method)):
                known = ast.unparse(inner) == "torch" or method == _ONLY_OF_TENSORS
                return known or self._makes_tensor(inner)
            case ast.Call(func=ast.Name(id=name)):
                return self._gives_tensor(name)
            case ast.BinOp(left=left, right=right):
                return self._makes_tensor(left) or self._makes_tensor(right)
            case ast.Subscript(value=inner):
                return self._makes_tensor(inner)
            case ast.Name():
                return True
        return False

    def _gives_tensor(self, name: str) -> bool:
        """Tell whether a function returns a tensor wherever it returns; not to be seen of one that calls itself."""
        function = function_called(self._tree, name)
        if function is None or name in self._followed:
            return False
        self._followed.add(name)
        try:
            values = returned_by(function)
            return bool(values) and all(value is not None and self.is_tensor(function, value) for value in values)
        finally:
            self._followed.remove(name)


def returned_by(function: ast.FunctionDef) -> list[ast.expr | None]:
    """Return what the `return` statements of a function give, in order."""
    return [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
