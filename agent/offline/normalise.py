"""From raw traces of one op at several sets of sizes to one graph in the closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from agent.offline.graph import (
    Graph,
    Node,
    NodeRef,
    OpKind,
    RawArg,
    RawNode,
    RawTrace,
    Size,
    UnsupportedOpError,
    product,
)
from agent.offline.primitives import PRIMITIVES
from tasks.values import DType

_IDENTITIES = frozenset({"view_of", "clone", "lift_fresh_copy", "detach", "alias", "contiguous"})
_RESHAPES = frozenset({"collapse_view", "split_dim", "squeeze", "reshape", "view", "unsqueeze", "collapse"})
_REDUCTIONS = {"sum": "sum", "amax": "max", "amin": "min", "prod": "prod"}
_PLAIN_SYMBOLS = frozenset(PRIMITIVES) | {"bitwise_not"}


class _Normaliser:
    def __init__(self, traces: Sequence[RawTrace]) -> None:
        self.traces = traces
        self.sets = len(traces)
        self.nodes: dict[str, Node] = {}
        self.alias: dict[str, str] = {}
        """Traced name to the closed form's node."""
        self.known: dict[Node, str] = {}
        """Nodes without their name: the same computation is kept once."""

    def run(self) -> None:
        """Convert every traced node in order."""
        for versions in zip(*(trace.nodes for trace in self.traces), strict=True):
            first = versions[0]
            if any(raw.target != first.target or raw.name != first.name for raw in versions):
                raise UnsupportedOpError("the offline proposer cannot follow an op whose steps change with its sizes")
            self._convert(versions)

    def _convert(self, versions: Sequence[RawNode]) -> None:
        first = versions[0]
        if first.target == "input":
            self._add(versions, OpKind.INPUT, "", ())
            return
        parts = first.target.split(".")
        op = parts[1] if len(parts) > 1 else first.target
        handler = self._handler(op)
        if handler is None:
            raise UnsupportedOpError(f"the offline proposer has no schedule for `{first.target}`")
        handler(op, versions)

    def _handler(self, op: str) -> Callable[[str, Sequence[RawNode]], None] | None:
        if op in _IDENTITIES:
            return self._identity
        if op in _RESHAPES:
            return self._reshape
        if op in _REDUCTIONS:
            return self._reduction
        if op in _PLAIN_SYMBOLS:
            return self._pointwise
        special: dict[str, Callable[[str, Sequence[RawNode]], None]] = {
            "convert_element_type": self._cast,
            "broadcast_in_dim": self._broadcast,
            "transpose": self._permute,
            "var": self._variance,
            "mm": self._matmul,
            "bmm": self._matmul,
            "addmm": self._addmm,
            "gather": self._gather,
            "iota": self._iota,
            "copy_": self._copy,
            "full_like": self._full,
            "full": self._full,
            "as_strided": self._as_strided,
            "empty_strided": self._empty,
            "empty": self._empty,
        }
        return special.get(op)

    # Building blocks

    def _shape(self, versions: Sequence[RawNode]) -> tuple[Size, ...]:
        ranks = {len(raw.shape) for raw in versions}
        if len(ranks) != 1:
            raise UnsupportedOpError("the offline proposer cannot follow an op whose rank changes with its sizes")
        return tuple(Size(values) for values in zip(*(raw.shape for raw in versions), strict=True))

    def _put(self, node: Node) -> str:
        nameless = replace(node, name="")
        if node.kind is not OpKind.INPUT and nameless in self.known:
            return self.known[nameless]
        self.known[nameless] = node.name
        self.nodes[node.name] = node
        return node.name

    def _add(
        self, versions: Sequence[RawNode], kind: OpKind, op: str, operands: tuple[str, ...], dims: tuple[int, ...] = ()
    ) -> None:
        first = versions[0]
        node = Node(first.name, kind, op, operands, self._shape(versions), first.dtype, dims)
        self.alias[first.name] = self._put(node)

    def _operand(self, argument: RawArg) -> str:
        if not isinstance(argument, NodeRef):
            raise UnsupportedOpError(f"the offline proposer expected a tensor operand, not {argument!r}")
        return self.alias[argument.ref]

    def _literal(self, name: str, values: tuple[float, ...], dtype: DType) -> str:
        return self._put(Node(name, OpKind.LITERAL, "", (), (), dtype, literal=values))

    def _scalars(self, versions: Sequence[RawNode], position: int) -> tuple[float, ...]:
        values = tuple(raw.args[position] for raw in versions)
        numbers = tuple(value for value in values if isinstance(value, bool | int | float))
        if len(numbers) != len(values):
            raise UnsupportedOpError(f"the offline proposer cannot read argument {position} of `{versions[0].target}`")
        return tuple(float(value) for value in numbers)

    def _ints(self, versions: Sequence[RawNode], position: int) -> tuple[int, ...]:
        """Integers that must not depend on the sizes."""
        values = {raw.args[position] for raw in versions}
        value = next(iter(values))
        if len(values) != 1 or not isinstance(value, tuple):
            raise UnsupportedOpError(f"the offline proposer cannot read argument {position} of `{versions[0].target}`")
        return tuple(int(item) for item in value if isinstance(item, int))

    # One method for each group of operators

    def _identity(self, _op: str, versions: Sequence[RawNode]) -> None:
        self.alias[versions[0].name] = self._operand(versions[0].args[0])

    def _copy(self, _op: str, versions: Sequence[RawNode]) -> None:
        self.alias[versions[0].name] = self._operand(versions[0].args[1])

    def _reshape(self, _op: str, versions: Sequence[RawNode]) -> None:
        self._add(versions, OpKind.RESHAPE, "", (self._operand(versions[0].args[0]),))

    def _as_strided(self, _op: str, versions: Sequence[RawNode]) -> None:
        for raw in versions:
            source = self.nodes[self._operand(raw.args[0])]
            strides, expected = raw.args[2], 1
            offset = raw.args[3] if len(raw.args) > 3 else 0  # noqa: PLR2004 -- as_strided(tensor, sizes, strides, offset)
            for size, stride in zip(
                reversed(raw.shape), reversed(strides if isinstance(strides, tuple) else ()), strict=True
            ):
                if size != 1 and stride != expected:
                    raise UnsupportedOpError("the offline proposer has no schedule for a strided slice (`as_strided`)")
                expected *= size
            index = versions.index(raw)
            if offset not in (0, None) or expected != product(source.shape, self.sets).values[index]:
                raise UnsupportedOpError("the offline proposer has no schedule for a slice (`as_strided`)")
        self._reshape("", versions)

    def _cast(self, _op: str, versions: Sequence[RawNode]) -> None:
        source = self._operand(versions[0].args[0])
        if self.nodes[source].dtype is versions[0].dtype:
            self.alias[versions[0].name] = source
            return
        self._add(versions, OpKind.POINTWISE, "cast", (source,))

    def _pointwise(self, op: str, versions: Sequence[RawNode]) -> None:
        first = versions[0]
        positions = range(len(first.args))
        tensors = [i for i in positions if isinstance(first.args[i], NodeRef)]
        if not tensors:
            raise UnsupportedOpError(f"the offline proposer cannot place `{first.target}` without a tensor operand")
        kind = self.nodes[self._operand(first.args[tensors[-1]])].dtype
        if op == "where":
            kind = first.dtype
        primitive = PRIMITIVES.get(op)
        if primitive is not None and primitive.floating and not kind.is_floating:
            raise UnsupportedOpError(f"the offline proposer has no schedule for `{first.target}` on {kind} operands")
        operands = []
        for i in positions:
            if i in tensors:
                operands.append(self._operand(first.args[i]))
            else:
                operands.append(self._literal(f"{first.name}_literal_{i}", self._scalars(versions, i), kind))
        self._add(versions, OpKind.POINTWISE, op, tuple(operands))

    def _broadcast(self, _op: str, versions: Sequence[RawNode]) -> None:
        operand = self._operand(versions[0].args[0])
        self._add(versions, OpKind.BROADCAST, "", (operand,), self._ints(versions, 2))

    def _permute(self, _op: str, versions: Sequence[RawNode]) -> None:
        operand = self._operand(versions[0].args[0])
        self._add(versions, OpKind.PERMUTE, "", (operand,), self._ints(versions, 1))

    def _reduction(self, op: str, versions: Sequence[RawNode]) -> None:
        operand = self._operand(versions[0].args[0])
        self._add(versions, OpKind.REDUCE, _REDUCTIONS[op], (operand,), self._ints(versions, 1))

    def _variance(self, _op: str, versions: Sequence[RawNode]) -> None:
        """Expand to the two-pass form, which keeps its accuracy when the mean is large."""
        first = versions[0]
        source = self.nodes[self._operand(first.args[0])]
        dims = self._ints(versions, 1)
        shape = self._shape(versions)
        count = product(tuple(source.shape[dim] for dim in dims), self.sets)
        corrections = self._scalars(versions, 2) if len(first.args) > 2 else (1.0,) * self.sets  # noqa: PLR2004 -- var(x, dims, correction)
        name, dtype = first.name, first.dtype
        kept = tuple(i for i in range(len(source.shape)) if i not in dims)
        mean_count = self._literal(f"{name}_count", tuple(float(n) for n in count.values), dtype)
        degrees = tuple(float(n) - c for n, c in zip(count.values, corrections, strict=True))
        divisor = self._literal(f"{name}_degrees", degrees, dtype)
        total = self._put(Node(f"{name}_total", OpKind.REDUCE, "sum", (source.name,), shape, dtype, dims))
        mean = self._put(Node(f"{name}_mean", OpKind.POINTWISE, "div", (total, mean_count), shape, dtype))
        spread = self._put(Node(f"{name}_spread", OpKind.BROADCAST, "", (mean,), source.shape, dtype, kept))
        centred = self._put(
            Node(f"{name}_centred", OpKind.POINTWISE, "sub", (source.name, spread), source.shape, dtype)
        )
        square = self._put(Node(f"{name}_square", OpKind.POINTWISE, "mul", (centred, centred), source.shape, dtype))
        squares = self._put(Node(f"{name}_squares", OpKind.REDUCE, "sum", (square,), shape, dtype, dims))
        self.alias[name] = self._put(Node(name, OpKind.POINTWISE, "div", (squares, divisor), shape, dtype))

    def _matmul(self, _op: str, versions: Sequence[RawNode]) -> None:
        left, right = (self._operand(versions[0].args[i]) for i in (0, 1))
        if not versions[0].dtype.is_floating:
            raise UnsupportedOpError(f"the offline proposer has no schedule for an integer `{versions[0].target}`")
        self._add(versions, OpKind.MATMUL, "", (left, right))

    def _addmm(self, _op: str, versions: Sequence[RawNode]) -> None:
        first = versions[0]
        if any(factor != 1 for factor in first.options.values()):
            raise UnsupportedOpError("the offline proposer has no schedule for `addmm` with factors")
        bias, left, right = (self._operand(first.args[i]) for i in (0, 1, 2))
        shape = self._shape(versions)
        rank = len(self.nodes[bias].shape)
        matmul = self._put(Node(f"{first.name}_product", OpKind.MATMUL, "", (left, right), shape, first.dtype))
        dims = tuple(range(len(shape) - rank, len(shape)))
        spread = self._put(Node(f"{first.name}_bias", OpKind.BROADCAST, "", (bias,), shape, first.dtype, dims))
        total = Node(first.name, OpKind.POINTWISE, "add", (matmul, spread), shape, first.dtype)
        self.alias[first.name] = self._put(total)

    def _gather(self, _op: str, versions: Sequence[RawNode]) -> None:
        first = versions[0]
        source, index = self._operand(first.args[0]), self._operand(first.args[2])
        dim = first.args[1]
        if not isinstance(dim, int):
            raise UnsupportedOpError("the offline proposer cannot read the dimension of `gather`")
        dim %= len(self.nodes[source].shape)
        others = [i for i in range(len(self.nodes[source].shape)) if i != dim]
        if any(self.nodes[source].shape[i] != self.nodes[index].shape[i] for i in others):
            raise UnsupportedOpError("the offline proposer has no schedule for a `gather` that also slices")
        self._add(versions, OpKind.GATHER, "", (source, index), (dim,))

    def _iota(self, _op: str, versions: Sequence[RawNode]) -> None:
        if (versions[0].options.get("start"), versions[0].options.get("step")) != (0, 1):
            raise UnsupportedOpError("the offline proposer has no schedule for `arange` with a start or a step")
        self._add(versions, OpKind.IOTA, "", ())

    def _empty(self, _op: str, versions: Sequence[RawNode]) -> None:
        """Uninitialised memory may only be the pattern that `full_like` fills."""
        self._add(versions, OpKind.LITERAL, "empty", ())

    def _full(self, _op: str, versions: Sequence[RawNode]) -> None:
        first = versions[0]
        value = self._literal(f"{first.name}_value", self._scalars(versions, 1), first.dtype)
        self._add(versions, OpKind.BROADCAST, "", (value,), ())


def consistent(traces: Sequence[RawTrace]) -> tuple[RawTrace, ...]:
    """Return the traces that have the most common structure, in their order.

    A size of one can change the steps of an op (nothing to broadcast, nothing to squeeze); the general steps hold
    for it all the same.
    """
    groups: dict[tuple[str, ...], list[RawTrace]] = {}
    for trace in traces:
        groups.setdefault(tuple(f"{node.name}={node.target}" for node in trace.nodes), []).append(trace)
    most_common = max(groups, key=lambda structure: len(groups[structure]))
    return tuple(groups[most_common])


def normalise(traces: Sequence[RawTrace]) -> Graph:
    """Return the op's graph; its inputs are the traced ones, its outputs the traced results.

    Raises
    ------
    UnsupportedOpError
        Something in the op has no place in the closed form.
    """
    worker = _Normaliser(traces)
    worker.run()
    inputs = tuple(node.name for node in worker.nodes.values() if node.kind is OpKind.INPUT)
    outputs = tuple(worker.alias[name] for name in traces[0].outputs)
    return Graph(len(traces), worker.nodes, inputs, outputs)


def cut(graph: Graph, given: Sequence[tuple[str, str]], outputs: Sequence[str]) -> Graph:
    """Return the part of `graph` that computes `outputs` from the nodes in `given`, whose values are handed in.

    Parameters
    ----------
    given
        Pairs of a node and the name that it has as an argument, in argument order.
    outputs
        Nodes to compute.

    Raises
    ------
    UnsupportedOpError
        An output needs an input that is not given.
    """
    names = dict(given)
    nodes: dict[str, Node] = {
        names[node]: replace(graph.nodes[node], name=names[node], kind=OpKind.INPUT, op="", operands=(), dims=())
        for node, _ in given
    }
    needed = _needed(graph, outputs, set(names))
    for name, node in graph.nodes.items():
        if name not in needed or name in names:
            continue
        if node.kind is OpKind.INPUT:
            raise UnsupportedOpError("the gradient needs a tensor of the op that the task does not save")
        nodes[name] = replace(node, operands=tuple(names.get(operand, operand) for operand in node.operands))
    return Graph(graph.sets, nodes, tuple(names.values()), tuple(names.get(name, name) for name in outputs))


def _needed(graph: Graph, outputs: Sequence[str], given: set[str]) -> set[str]:
    seen: set[str] = set()
    pending = list(outputs)
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in given:
            pending.extend(graph.nodes[name].operands)
    return seen
