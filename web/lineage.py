"""Where a kernel comes from and what came of it, as coordinates for an inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from dataset.values import AttemptRecord
from tasks.values import Value

BOX_WIDTH, BOX_HEIGHT = 208, 44
COLUMN, ROW = 284, 58


class Box(Value):
    """One attempt in the drawing."""

    x: float
    y: float
    attempt: int
    title: str
    detail: str
    status: str
    current: bool


class Edge(Value):
    """A curve from a parent to its child."""

    path: str
    """SVG path data."""


class Lineage(Value):
    """Parents, the attempt, its children: left to right."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]


def lineage(attempt: AttemptRecord, run: Sequence[AttemptRecord]) -> Lineage | None:
    """Return the drawing of one attempt's relations within its run, None when it has none."""
    by_number = {other.number: other for other in run}
    parents = [by_number[number] for number in attempt.parents if number in by_number]
    children = [other for other in run if attempt.number in other.parents]
    if not parents and not children:
        return None
    columns = [column for column in (parents, [attempt], children) if column]
    rows = max(len(column) for column in columns)
    height = rows * ROW - (ROW - BOX_HEIGHT)
    placed = [
        [_box(other, index * COLUMN, position, height, len(column)) for position, other in enumerate(column)]
        for index, column in enumerate(columns)
    ]
    edges = [_edge(left, right) for here, there in pairwise(placed) for left in here for right in there]
    boxes = [box.model_copy(update={"current": box.attempt == attempt.number}) for column in placed for box in column]
    width = (len(columns) - 1) * COLUMN + BOX_WIDTH
    return Lineage(width=width, height=height, boxes=tuple(boxes), edges=tuple(edges))


def _box(attempt: AttemptRecord, x: float, position: int, height: int, count: int) -> Box:
    y = (height - (count * ROW - (ROW - BOX_HEIGHT))) / 2 + position * ROW
    detail = attempt.operator.value
    if attempt.measurement is not None:
        detail += f" · {attempt.measurement.speedup:.2f}× {attempt.measurement.basis.value}"
    return Box(
        x=x,
        y=y,
        attempt=attempt.number,
        title=f"attempt {attempt.number}",
        detail=detail,
        status="pending" if attempt.verdict is None else attempt.verdict.status.value,
        current=False,
    )


def _edge(left: Box, right: Box) -> Edge:
    start, end = left.x + BOX_WIDTH, right.x
    here, there = left.y + BOX_HEIGHT / 2, right.y + BOX_HEIGHT / 2
    middle = (start + end) / 2
    return Edge(path=f"M{start:g} {here:g} C{middle:g} {here:g} {middle:g} {there:g} {end:g} {there:g}")
