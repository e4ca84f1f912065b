"""Writes sizes, and scalars that follow from sizes, as host expressions over the arguments' sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isclose

from agent.offline.graph import Graph, Size, UnsupportedOpError

_DEPTH = 3
"""Most sizes that are multiplied in one expression."""


@dataclass(frozen=True, slots=True)
class _Known:
    size: Size
    text: str


class HostSizes:
    """Finds, for a size seen at every traced set, an expression over the arguments that gave the same values.

    Parameters
    ----------
    graph
        The op; its inputs' dimensions are what expressions are made of.
    """

    def __init__(self, graph: Graph) -> None:
        self._sets = graph.sets
        self._known: list[_Known] = []
        for name in graph.inputs:
            for position, size in enumerate(graph.nodes[name].shape):
                if all(size != known.size for known in self._known):
                    self._known.append(_Known(size, f"{name}.size({position})"))

    def text(self, size: Size) -> str:
        """Return a host expression of type `int64_t`.

        Raises
        ------
        UnsupportedOpError
            The size follows from the arguments' sizes in no simple way.
        """
        found = self._search(size)
        if found is None:
            raise UnsupportedOpError(
                f"the offline proposer cannot tell how a size of {size.values} follows from the inputs"
            )
        return found

    def _search(self, size: Size) -> str | None:
        exact = self._product(size, _DEPTH, 0)
        if exact is not None:
            return exact
        for known in self._products():
            share = known.size.divided_by(size)
            if share is not None and share.constant is not None:
                return f"{known.text} / {share.constant}"
        return None

    def _product(self, size: Size, depth: int, start: int) -> str | None:
        for known in self._known:
            if known.size == size:
                return known.text
        if size.constant is not None:
            return str(size.constant)
        if depth == 1:
            return None
        for position, known in enumerate(self._known[start:], start):
            rest = size.divided_by(known.size)
            if rest is None or known.size.is_one or known.size == size:
                continue
            inner = self._product(rest, depth - 1, position)
            if inner is not None:
                return f"{known.text} * {inner}"
        return None

    def _products(self) -> list[_Known]:
        pairs = [
            _Known(a.size * b.size, f"{a.text} * {b.text}") for i, a in enumerate(self._known) for b in self._known[i:]
        ]
        return [*self._known, *pairs]

    def scalar(self, values: tuple[float, ...], c_type: str) -> str:
        """Return a host expression for a number that took `values` at the traced sets.

        Raises
        ------
        UnsupportedOpError
            The number follows from the sizes in no way that is known here.
        """
        forms: tuple[tuple[Callable[[float], float], str], ...] = (
            (lambda v: v, "static_cast<{type}>({size})"),
            (lambda v: 1.0 / v, "static_cast<{type}>(1.0 / ({size}))"),
            (lambda v: v * v, "static_cast<{type}>(std::sqrt(static_cast<double>({size})))"),
            (lambda v: 1.0 / (v * v), "static_cast<{type}>(1.0 / std::sqrt(static_cast<double>({size})))"),
            (lambda v: v + 1.0, "static_cast<{type}>(({size}) - 1)"),
        )
        for inverse, text in forms:
            size = _as_size(tuple(inverse(value) for value in values)) if all(values) else None
            found = self._search(size) if size is not None else None
            if found is not None:
                return text.format(type=c_type, size=found)
        raise UnsupportedOpError(f"the offline proposer cannot tell how the scalar {values} follows from the sizes")


def _as_size(values: tuple[float, ...]) -> Size | None:
    rounded = tuple(round(value) for value in values)
    close = all(isclose(a, b, rel_tol=1e-6) and b > 0 for a, b in zip(values, rounded, strict=True))
    return Size(rounded) if close else None
