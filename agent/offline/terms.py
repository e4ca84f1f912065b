"""One kernel's computation as a list of terms over the digits of its iteration domain.

A dimension of a tensor is indexed by a row-major sequence of *digits*, loop variables with an extent. Views then
cost nothing: broadcasting drops digits, permuting reorders them, reshaping regroups them (splitting a digit of
the domain where it has to). An access is a sum of digit times stride.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from agent.offline.graph import VIEWS, Graph, Node, OpKind, Size, UnsupportedOpError, product
from agent.offline.primitives import C_TYPE


@dataclass(frozen=True, slots=True)
class Digit:
    """A loop variable, or, with `chosen`, an index that a term computes."""

    name: str
    extent: Size
    chosen: int | None = None
    """Term that gives the value (`gather`)."""


Index = tuple[Digit, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One summand of an address: digit times stride, in elements."""

    digit: str
    stride: Size


class TermKind(StrEnum):
    """How a term gets its value."""

    LOAD = "load"
    LITERAL = "literal"
    APPLY = "apply"
    REDUCED = "reduced"
    """Result of one of the stage's reductions."""
    PRODUCT = "product"
    """Accumulated matrix product."""
    POSITION = "position"
    """An index as a number (`arange`)."""


@dataclass(frozen=True, slots=True)
class Term:
    """One value of the kernel."""

    kind: TermKind
    c_type: str
    op: str = ""
    """Apply: the primitive. Reduced and product: the graph's node."""
    operands: tuple[int, ...] = ()
    tensor: str = ""
    """Load: which tensor."""
    steps: tuple[Step, ...] = ()
    """Load: the address. Position: the value."""
    literal: tuple[float, ...] = ()


class SplitNeededError(Exception):
    """A digit of the domain must be split in two for a reshape to be followed."""

    def __init__(self, digit: Digit, outer: Size, inner: Size) -> None:
        super().__init__(digit.name)
        self.digit = digit
        self.outer = outer
        self.inner = inner


class UnfusableError(Exception):
    """A value cannot be computed inside the stage that asked for it."""


def regroup(digits: Sequence[Digit], shape: Sequence[Size], sets: int) -> tuple[Index, ...]:
    """Distribute row-major `digits` over dimensions of sizes `shape`.

    Raises
    ------
    SplitNeededError
        A dimension ends inside a digit.
    UnfusableError
        The sizes do not line up.
    """
    pending = list(digits)
    result: list[Index] = []
    for size in shape:
        taken: list[Digit] = []
        covered = product((), sets)
        while covered != size:
            if not pending:
                raise UnfusableError("sizes do not line up")
            digit = pending.pop(0)
            rest = size.divided_by(covered)
            if rest is None:
                raise UnfusableError("sizes do not line up")
            if rest.divided_by(digit.extent) is None:
                inner = digit.extent.divided_by(rest)
                if inner is None or digit.chosen is not None:
                    raise UnfusableError("sizes do not line up")
                raise SplitNeededError(digit, rest, inner)
            taken.append(digit)
            covered = covered * digit.extent
        result.append(tuple(taken))
    if any(not digit.extent.is_one for digit in pending):
        raise UnfusableError("sizes do not line up")
    return tuple(result)


@dataclass(slots=True)
class TermBuilder:
    """Evaluates graph nodes at indices into terms, each computed once.

    Parameters
    ----------
    graph
        The op.
    is_tensor
        Whether a node's result is already in memory, so that it is loaded.
    anchors
        Reductions and products of this stage, with the index at which each is defined.
    """

    graph: Graph
    is_tensor: Callable[[str], bool]
    anchors: dict[str, Index]
    terms: list[Term] = field(default_factory=list)
    digits: dict[str, Digit] = field(default_factory=dict)
    _known: dict[Term, int] = field(default_factory=dict)

    def evaluate(self, name: str, index: tuple[Index, ...]) -> int:
        """Return the term for node `name` at `index` (one entry per dimension)."""
        node = self.graph.nodes[name]
        for part in index:
            for digit in part:
                self.digits[digit.name] = digit
        if self.is_tensor(name):
            return self._load(node, index)
        if name in self.anchors:
            return self._anchor(node, index)
        if node.kind in VIEWS:
            return self.evaluate(node.operands[0], self.through_view(node, index))
        rules = {
            OpKind.LITERAL: self._literal,
            OpKind.POINTWISE: self._pointwise,
            OpKind.IOTA: self._position,
            OpKind.GATHER: self._gather,
        }
        if node.kind not in rules:
            raise UnfusableError(f"'{name}' belongs to an earlier stage")
        return rules[node.kind](node, index)

    def through_view(self, node: Node, index: tuple[Index, ...]) -> tuple[Index, ...]:
        """Return the operand's index for a view's index."""
        source = self.graph.nodes[node.operands[0]]
        if node.kind is OpKind.BROADCAST:
            pairs = zip(source.shape, node.dims, strict=True)
            return tuple(() if size.is_one else index[dim] for size, dim in pairs)
        if node.kind is OpKind.PERMUTE:
            where = {dim: position for position, dim in enumerate(node.dims)}
            return tuple(index[where[dim]] for dim in range(len(source.shape)))
        flat = tuple(digit for part in index for digit in part)
        return regroup(flat, source.shape, self.graph.sets)

    def _put(self, term: Term) -> int:
        if term not in self._known:
            self._known[term] = len(self.terms)
            self.terms.append(term)
        return self._known[term]

    def _pointwise(self, node: Node, index: tuple[Index, ...]) -> int:
        operands = []
        for operand in node.operands:
            scalar = not self.graph.nodes[operand].shape
            operands.append(self.evaluate(operand, () if scalar else index))
        return self._put(Term(TermKind.APPLY, C_TYPE[node.dtype], node.op, tuple(operands)))

    def _literal(self, node: Node, _index: tuple[Index, ...]) -> int:
        if not node.literal:
            raise UnsupportedOpError("the offline proposer has no schedule for reading uninitialised memory")
        return self._put(Term(TermKind.LITERAL, C_TYPE[node.dtype], literal=node.literal))

    def _position(self, node: Node, index: tuple[Index, ...]) -> int:
        return self._put(Term(TermKind.POSITION, "int64_t", steps=self._steps(node, index)))

    def _load(self, node: Node, index: tuple[Index, ...]) -> int:
        return self._put(Term(TermKind.LOAD, C_TYPE[node.dtype], tensor=node.name, steps=self._steps(node, index)))

    def _steps(self, node: Node, index: tuple[Index, ...]) -> tuple[Step, ...]:
        return row_major(node.shape, index, self.graph.sets)

    def _anchor(self, node: Node, index: tuple[Index, ...]) -> int:
        flat = tuple(digit for part in index for digit in part if not digit.extent.is_one)
        home = tuple(digit for digit in self.anchors[node.name] if not digit.extent.is_one)
        if flat != home:
            raise UnfusableError(f"'{node.name}' is needed at another index than the one it is computed at")
        kind = TermKind.REDUCED if node.kind is OpKind.REDUCE else TermKind.PRODUCT
        return self._put(Term(kind, C_TYPE[node.dtype], node.name))

    def _gather(self, node: Node, index: tuple[Index, ...]) -> int:
        source, positions = node.operands
        chosen = self.evaluate(positions, index)
        dim = node.dims[0]
        digit = Digit(f"at{chosen}", self.graph.nodes[source].shape[dim], chosen)
        moved = tuple((digit,) if i == dim else part for i, part in enumerate(index))
        return self.evaluate(source, moved)


def row_major(shape: Sequence[Size], index: Sequence[Index], sets: int) -> tuple[Step, ...]:
    """Return the address steps of a dense tensor at `index`, outermost digit first."""
    steps: list[Step] = []
    stride = product((), sets)
    for size, part in zip(reversed(shape), reversed(index), strict=True):
        inner = stride
        for digit in reversed(part):
            if not digit.extent.is_one:
                steps.append(Step(digit.name, inner))
            inner = inner * digit.extent
        stride = stride * size
    return tuple(reversed(steps))


def stride_of(steps: Sequence[Step], digit: str) -> Size | None:
    """Return the stride of a digit in an address, None where the address does not depend on it."""
    return next((step.stride for step in steps if step.digit == digit), None)


def merge(digits: Index, addresses: Sequence[Sequence[Step]]) -> Index:
    """Join neighbouring digits that every address walks as one; the joined digit keeps the inner one's name."""
    result: list[Digit] = []
    for digit in digits:
        if result and all(_walks_on(steps, result[-1], digit) for steps in addresses):
            result[-1] = Digit(digit.name, result[-1].extent * digit.extent)
        else:
            result.append(digit)
    return tuple(result)


def _walks_on(steps: Sequence[Step], outer: Digit, inner: Digit) -> bool:
    outer_stride, inner_stride = stride_of(steps, outer.name), stride_of(steps, inner.name)
    if outer_stride is None or inner_stride is None:
        return outer_stride is inner_stride
    return outer_stride == inner_stride * inner.extent
