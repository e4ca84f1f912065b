"""Splits the graph into stages, each one kernel (or, for a whole-tensor reduction, a pair).

Reductions and matrix products are the anchors: each starts a stage or, for reductions over the same rows, joins
one. Pointwise work and views are pulled into the stage that needs them. A value that crosses stages is
written to memory once: the last pointwise result that a matrix product's stage can compute, or the
per-row values of a row stage (what varies along the row is cheaper to compute again than to store).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from agent.offline.graph import VIEWS, Graph, Node, OpKind, Size, UnsupportedOpError, product
from agent.offline.terms import (
    Digit,
    Index,
    SplitNeededError,
    Step,
    Term,
    TermBuilder,
    TermKind,
    UnfusableError,
    merge,
    regroup,
    row_major,
    stride_of,
)

_MAX_SPLITS = 16


class StageKind(StrEnum):
    """The shapes of kernels that there are schedules for."""

    POINTWISE = "pointwise"
    ROW = "row"
    """Reductions along rows, and what is computed from them."""
    WHOLE = "whole"
    """Reductions over everything."""
    MATMUL = "matmul"


@dataclass(frozen=True, slots=True)
class Reduction:
    """One reduction along the stage's columns."""

    node: str
    op: str
    """`sum`, `max`, `min` or `prod`."""
    operand: int
    """Term that is reduced."""
    c_type: str


@dataclass(frozen=True, slots=True)
class Output:
    """One tensor that the stage writes."""

    tensor: str
    term: int
    steps: tuple[Step, ...]
    per_row: bool
    """One element per row; otherwise one per element of the domain."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Where an operand of a product lies: strides of its batch, its rows and its columns, in elements."""

    tensor: str
    batch: Size
    row: Size
    column: Size


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix product's operands and the digits that are summed over."""

    left: Matrix
    right: Matrix
    inner: Index


@dataclass(frozen=True, slots=True)
class Stage:
    """One kernel's computation, ready to be scheduled."""

    kind: StageKind
    rows: Index
    """Row and matmul stages."""
    columns: Index
    terms: tuple[Term, ...]
    digits: dict[str, Digit]
    reductions: tuple[Reduction, ...]
    outputs: tuple[Output, ...]
    product: Product | None = None
    batch: Index = ()
    """Matmul: digits of the batch."""


@dataclass(slots=True)
class _Draft:
    """A stage while it is still being decided what it computes."""

    kind: StageKind
    anchors: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    splits: list[tuple[str, Size, Size]] = field(default_factory=list)

    def copy(self) -> _Draft:
        return _Draft(self.kind, list(self.anchors), list(self.outputs), list(self.splits))


class Planner:
    """Decides the stages of one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.drafts: list[_Draft] = []
        self.level: dict[str, int] = {}
        """Last stage that a node depends on, -1 for none."""
        self.home: dict[str, int] = {}
        """Stage that writes a node to memory, -1 for inputs."""

    def plan(self) -> tuple[Stage, ...]:
        """Return the stages in launch order.

        Raises
        ------
        UnsupportedOpError
            A step of the op fits no kind of stage.
        """
        for node in self.graph.nodes.values():
            self._place(node)
        for output in self.graph.outputs:
            if self.home.get(output) == -1:
                raise UnsupportedOpError("the op returns an input as it is: there is nothing to compute")
            self._provide(output)
        return tuple(self._build(position, draft) for position, draft in enumerate(self.drafts))

    def _place(self, node: Node) -> None:
        self.level[node.name] = max((self.level[operand] for operand in node.operands), default=-1)
        if node.kind is OpKind.INPUT:
            self.home[node.name] = -1
        elif node.kind is OpKind.REDUCE:
            self._place_reduction(node)
        elif node.kind is OpKind.MATMUL:
            for operand in node.operands:
                self._provide(self._below_views(operand))
            self._place_product(node)

    def _place_reduction(self, node: Node) -> None:
        whole = self.graph.numel(node.name).is_one
        kind = StageKind.WHOLE if whole else StageKind.ROW
        earliest = self.level[node.operands[0]] + (1 if whole else 0)
        for position in range(max(earliest, 0), len(self.drafts)):
            draft = self.drafts[position].copy()
            if draft.kind is kind:
                draft.anchors.append(node.name)
                if self._accept(position, draft):
                    self.level[node.name] = position
                    return
        position = len(self.drafts)
        self.drafts.append(_Draft(kind))
        if not self._accept(position, _Draft(kind, [node.name])):
            raise UnsupportedOpError(f"the offline proposer has no schedule for the reduction '{node.name}'")
        self.level[node.name] = position

    def _place_product(self, node: Node) -> None:
        """Start a product's stage; an operand that does not lie like a matrix is copied first."""
        for copied in (False, True):
            if copied:
                for operand in node.operands:
                    self._provide(operand)
            self.drafts.append(_Draft(StageKind.MATMUL))
            if self._accept(len(self.drafts) - 1, _Draft(StageKind.MATMUL, [node.name])):
                self.level[node.name] = len(self.drafts) - 1
                return
            self.drafts.pop()
        raise UnsupportedOpError(f"the offline proposer has no schedule for the product '{node.name}'")

    def _accept(self, position: int, draft: _Draft) -> bool:
        """Build the draft; take it over when that works."""
        try:
            self._build(position, draft)
        except UnfusableError:
            return False
        self.drafts[position] = draft
        return True

    def _below_views(self, name: str) -> str:
        node = self.graph.nodes[name]
        while node.kind in VIEWS and node.name not in self.home:
            node = self.graph.nodes[node.operands[0]]
        return node.name

    def _provide(self, name: str) -> None:
        """Make sure that a node's result is in memory after some stage."""
        if name in self.home:
            return
        level = self.level[name]
        if level >= 0 and self._offer(level, name, rows_only=False):
            return
        for position, draft in enumerate(self.drafts):
            if draft.kind is StageKind.POINTWISE and position > level and self._offer(position, name, rows_only=False):
                return
        draft = _Draft(StageKind.POINTWISE, outputs=[name])
        self.drafts.append(draft)
        position = len(self.drafts) - 1
        if not self._accept(position, draft):
            raise UnsupportedOpError(f"the offline proposer has no schedule for '{name}'")
        self.home[name] = position

    def _offer(self, position: int, name: str, *, rows_only: bool) -> bool:
        """Let an existing stage write a node; tell whether it does."""
        draft = self.drafts[position].copy()
        if name in draft.outputs:
            return not rows_only or self._per_row(position, draft, name)
        draft.outputs.append(name)
        try:
            built = self._build(position, draft)
        except UnfusableError:
            return False
        per_row = next(output.per_row for output in built.outputs if output.tensor == name)
        if (rows_only or draft.kind is StageKind.WHOLE) and not per_row:
            return False
        self.drafts[position] = draft
        self.home[name] = position
        return True

    def _per_row(self, position: int, draft: _Draft, name: str) -> bool:
        built = self._build(position, draft)
        return next(output.per_row for output in built.outputs if output.tensor == name)

    def _is_tensor(self, position: int, name: str) -> bool:
        """Whether stage `position` loads a node; may make an earlier stage write it."""
        if name in self.home and self.home[name] < position:
            return True
        level = self.level[name]
        if not 0 <= level < position or self.graph.nodes[name].kind in VIEWS:
            return False
        rows_only = self.drafts[level].kind in (StageKind.ROW, StageKind.WHOLE)
        return self._offer(level, name, rows_only=rows_only)

    # Building one stage

    def _build(self, position: int, draft: _Draft) -> Stage:
        for _ in range(_MAX_SPLITS):
            try:
                return self._try_build(position, draft)
            except SplitNeededError as need:
                draft.splits.append((need.digit.name, need.outer, need.inner))
        raise UnfusableError("too many splits")

    def _try_build(self, position: int, draft: _Draft) -> Stage:
        builder = TermBuilder(self.graph, lambda name: self._is_tensor(position, name), {})
        if draft.kind is StageKind.MATMUL:
            return self._build_matmul(draft, builder)
        if draft.kind is StageKind.POINTWISE:
            shape = self.graph.nodes[draft.outputs[0]].shape
            columns = self._split(draft, [Digit(f"c{i}", size) for i, size in enumerate(shape)])
            outputs = tuple(self._output(builder, name, (), columns) for name in draft.outputs)
            return Stage(draft.kind, (), columns, tuple(builder.terms), builder.digits, (), outputs)
        return self._build_row(draft, builder)

    def _split(self, draft: _Draft, digits: list[Digit]) -> Index:
        """Apply the draft's splits to freshly made digits, leaving out those of extent one."""
        for name, outer, inner in draft.splits:
            for i, digit in enumerate(digits):
                if digit.name == name:
                    digits[i : i + 1] = [Digit(f"{name}a", outer), Digit(f"{name}b", inner)]
                    break
        return tuple(digit for digit in digits if not digit.extent.is_one)

    def _build_row(self, draft: _Draft, builder: TermBuilder) -> Stage:
        first = self.graph.nodes[draft.anchors[0]]
        shape = self.graph.nodes[first.operands[0]].shape
        made = [Digit(f"{'c' if i in first.dims else 'r'}{i}", size) for i, size in enumerate(shape)]
        order = self._split(draft, made)
        rows = tuple(digit for digit in order if digit.name.startswith("r"))
        columns = tuple(digit for digit in order if digit.name.startswith("c"))
        reductions = []
        for name in draft.anchors:
            node = self.graph.nodes[name]
            index = self._reduced_index(node, rows, columns)
            operand = builder.evaluate(node.operands[0], index)
            builder.anchors[name] = rows
            c_type = builder.terms[operand].c_type
            reductions.append(Reduction(name, node.op, operand, c_type))
        outputs = tuple(self._output(builder, name, rows, order) for name in draft.outputs)
        return Stage(draft.kind, rows, columns, tuple(builder.terms), builder.digits, tuple(reductions), outputs)

    def _reduced_index(self, node: Node, rows: Index, columns: Index) -> tuple[Index, ...]:
        shape = self.graph.nodes[node.operands[0]].shape
        kept = [i for i in range(len(shape)) if i not in node.dims]
        reduced = [i for i in range(len(shape)) if i in node.dims]
        index: list[Index] = [()] * len(shape)
        for dims, digits in ((kept, rows), (reduced, columns)):
            parts = regroup(digits, [shape[i] for i in dims], self.graph.sets)
            for i, part in zip(dims, parts, strict=True):
                index[i] = part
        return tuple(index)

    def _output(self, builder: TermBuilder, name: str, rows: Index, order: Index) -> Output:
        node = self.graph.nodes[name]
        sets = self.graph.sets
        count = product(node.shape, sets)
        row_count = product(tuple(digit.extent for digit in rows), sets)
        full_count = product(tuple(digit.extent for digit in order), sets)
        if count not in (row_count, full_count):
            raise UnfusableError(f"'{name}' has another size than the stage")
        per_row = bool(builder.anchors) and count == row_count
        index = regroup(rows if per_row else order, node.shape, sets)
        term = builder.evaluate(name, index)
        return Output(name, term, row_major(node.shape, index, sets), per_row)

    def _build_matmul(self, draft: _Draft, builder: TermBuilder) -> Stage:
        node = self.graph.nodes[draft.anchors[0]]
        left, right = (self.graph.nodes[operand] for operand in node.operands)
        batch = self._split(draft, [Digit(f"b{i}", size) for i, size in enumerate(node.shape[:-2])])
        rows = self._split(draft, [Digit("m", node.shape[-2])])
        columns = self._split(draft, [Digit("n", node.shape[-1])])
        inner = self._split(draft, [Digit("k", left.shape[-1])])
        outer = (batch,) if len(node.shape) > 2 else ()  # noqa: PLR2004 -- a batched product has three dimensions
        operands = (
            self._matrix(builder, left.name, (*outer, rows, inner), (batch, rows, inner)),
            self._matrix(builder, right.name, (*outer, inner, columns), (batch, inner, columns)),
        )
        order = (*batch, *rows, *columns)
        builder.anchors[node.name] = order
        outputs = tuple(self._output_of_product(builder, name, order) for name in draft.outputs)
        kept, digits = tuple(builder.terms), builder.digits
        return Stage(draft.kind, rows, columns, kept, digits, (), outputs, Product(*operands, inner), batch)

    def _matrix(
        self, builder: TermBuilder, name: str, index: tuple[Index, ...], groups: tuple[Index, Index, Index]
    ) -> Matrix:
        term = builder.terms[builder.evaluate(name, index)]
        if term.kind is not TermKind.LOAD:
            raise UnfusableError("an operand of the product is not in memory")
        strides = [self._single_stride(term, group) for group in groups]
        return Matrix(term.tensor, *strides)

    def _single_stride(self, term: Term, group: Index) -> Size:
        """Return the stride of a group of digits that is walked as one."""
        merged = merge(group, [term.steps])
        stride = stride_of(term.steps, merged[-1].name) if merged else None
        if len(merged) > 1 or any(self._is_chosen(step) for step in term.steps):
            raise UnfusableError("an operand of the product does not lie like a matrix")
        return stride or Size((0,) * self.graph.sets)

    @staticmethod
    def _is_chosen(step: Step) -> bool:
        return step.digit.startswith("at")

    def _output_of_product(self, builder: TermBuilder, name: str, order: Index) -> Output:
        node = self.graph.nodes[name]
        index = regroup(order, node.shape, self.graph.sets)
        term = builder.evaluate(name, index)
        return Output(name, term, row_major(node.shape, index, self.graph.sets), per_row=False)
