"""The op as a graph: what the sandboxed child records, and the closed form that the planner reads.

`RawTrace` crosses the process border as JSON: one entry per traced node, at one concrete set of sizes.
Several raw traces of the same op at different sizes become one `Graph`, in which a size is the vector of
values that it took (`Size`): two sizes are the same when they agreed at every traced set.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import reduce

from pydantic import ConfigDict

from tasks.errors import KernelwrightError
from tasks.values import DType, ReferenceForm, Value

ARGUMENT = "argument_"
"""Prefix of a trace's input nodes; their position follows."""


class UnsupportedOpError(KernelwrightError):
    """The offline proposer has no schedule for something in the op; the sentence names it."""


class NodeRef(Value):
    """An argument that is another node's result."""

    ref: str
    """Name of that node."""


RawArg = NodeRef | bool | int | float | str | None | tuple[int, ...] | tuple[NodeRef, ...]


class RawNode(Value):
    """One traced operation with its result's type, at concrete sizes."""

    name: str
    """Unique in the trace."""
    target: str
    """`input`, or the operator, for instance `prims.add.default`."""
    args: tuple[RawArg, ...] = ()
    """Positional arguments."""
    options: dict[str, RawArg] = {}
    """Keyword arguments."""
    shape: tuple[int, ...]
    """Sizes of the result."""
    dtype: DType
    """Element type of the result."""


class RawTrace(Value):
    """A whole trace at one set of sizes."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    axes: dict[str, int]
    """The task's axes that it was taken at."""
    names: tuple[str, ...]
    """What the inputs stand for, in their order: names of the reference's tensors, then `grad.N`."""
    nodes: tuple[RawNode, ...]
    """In execution order, inputs first."""
    outputs: tuple[str, ...]
    """Nodes that the candidate must return, in order."""


class TraceRequest(Value):
    """What the child is asked to trace."""

    source: str
    """The reference's source, untrusted."""
    form: ReferenceForm
    """Module or function."""
    entry: str
    """Class or function name."""
    backward: bool
    """Whether to trace the gradients."""
    saved: tuple[str, ...] = ()
    """Backward: names of the tensors that the candidate is given."""
    gradients: tuple[str, ...] = ()
    """Backward: names of the tensors whose gradients it returns."""
    axes: tuple[dict[str, int], ...]
    """Every set of sizes to trace at."""


class TraceReply(Value):
    """What the child answers: a trace or a sentence for each set of sizes."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    traces: tuple[RawTrace, ...]
    """The traces that succeeded, in the order asked."""
    problems: tuple[str, ...] = ()
    """Why the others failed."""


@dataclass(frozen=True, slots=True)
class Size:
    """A size as the values that it took at each traced set of sizes."""

    values: tuple[int, ...]

    def __mul__(self, other: Size) -> Size:
        return Size(tuple(a * b for a, b in zip(self.values, other.values, strict=True)))

    def divided_by(self, other: Size) -> Size | None:
        """Return the exact quotient, or None where there is a remainder."""
        pairs = tuple(zip(self.values, other.values, strict=True))
        if any(b == 0 or a % b for a, b in pairs):
            return None
        return Size(tuple(a // b for a, b in pairs))

    @property
    def is_one(self) -> bool:
        """Whether it was 1 at every traced set: a dimension that is only there to broadcast."""
        return all(value == 1 for value in self.values)

    @property
    def constant(self) -> int | None:
        """The value, when it never changed."""
        return self.values[0] if len(set(self.values)) == 1 else None


def product(sizes: tuple[Size, ...], count: int) -> Size:
    """Return the product of `sizes`, over `count` traced sets."""
    return reduce(Size.__mul__, sizes, Size((1,) * count))


class OpKind(StrEnum):
    """The closed set of operations."""

    INPUT = "input"
    LITERAL = "literal"
    """A number, possibly one that depends on the sizes."""
    POINTWISE = "pointwise"
    REDUCE = "reduce"
    MATMUL = "matmul"
    """(batch,) rows x inner times (batch,) inner x columns."""
    BROADCAST = "broadcast"
    """`dims[i]` is the result's dimension that operand dimension i becomes."""
    PERMUTE = "permute"
    """Result dimension i is operand dimension `dims[i]`."""
    RESHAPE = "reshape"
    """Row-major regrouping."""
    IOTA = "iota"
    """0, 1, 2, ... along its only dimension."""
    GATHER = "gather"
    """Element of operand 0 at the index operand 1 gives along `dims[0]`."""


VIEWS = frozenset({OpKind.BROADCAST, OpKind.PERMUTE, OpKind.RESHAPE})


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of the closed form."""

    name: str
    kind: OpKind
    op: str
    """Pointwise: the primitive (`add`, `exp`, ...). Reduce: `sum`, `max`, `min` or `prod`."""
    operands: tuple[str, ...]
    shape: tuple[Size, ...]
    dtype: DType
    dims: tuple[int, ...] = ()
    literal: tuple[float, ...] = ()
    """Literal: its value at each traced set of sizes."""


@dataclass(frozen=True, slots=True)
class Graph:
    """The whole op."""

    sets: int
    """How many sets of sizes were traced."""
    nodes: dict[str, Node]
    """In execution order."""
    inputs: tuple[str, ...]
    """The candidate's arguments, in order."""
    outputs: tuple[str, ...]

    def numel(self, node: str) -> Size:
        """Return the number of elements of a node's result."""
        return product(self.nodes[node].shape, self.sets)
