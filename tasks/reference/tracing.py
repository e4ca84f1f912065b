"""Traces a reference into its operators, on shapes alone."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping

import torch
from torch._ops import OpOverload
from torch.fx import Node
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import flop_registry

from tasks.errors import UserError
from tasks.fusion import ModelSplit, split_traces
from tasks.reference.eager import described, is_free
from tasks.reference.probing import probe
from tasks.reference.running import Reference
from tasks.traced import NUMBER, Operator, OperatorKind, Trace
from tasks.values import DType, ProbeResult

_MOST_TRACES = 6
_REDUCTIONS = frozenset(
    {
        "aten::_log_softmax",
        "aten::_safe_softmax",
        "aten::_softmax",
        "aten::all",
        "aten::amax",
        "aten::amin",
        "aten::any",
        "aten::argmax",
        "aten::argmin",
        "aten::cumsum",
        "aten::linalg_vector_norm",
        "aten::logsumexp",
        "aten::max",
        "aten::mean",
        "aten::min",
        "aten::native_group_norm",
        "aten::native_layer_norm",
        "aten::norm",
        "aten::prod",
        "aten::std",
        "aten::sum",
        "aten::var",
        "aten::var_mean",
    }
)
_ELEMENTWISE = frozenset({"aten::native_batch_norm", "aten::_native_batch_norm_legit_no_training"})
"""In evaluation mode they only scale and shift."""

_ATTENTION = "aten::_scaled_dot_product"
_LEFT_OUT = frozenset({"device", "layout", "pin_memory"})
"""Options that say where a tensor lies, not what is in it."""


def split(source: str) -> ModelSplit:
    """Execute `source` and cut its op into groups of operators that fuse (see `tasks.fusion.split_traces`).

    Raises
    ------
    UserError
        As for `probe`; or the op cannot be traced on shapes alone, for it looks at values.
    """
    probed = probe(source)

    first = _trace(Reference(source, probed.form, probed.entry, probed.default.axes), probed.default.axes)
    others = (_trace_or_none(source, probed, sizes.axes) for sizes in probed.varied[: _MOST_TRACES - 1])
    return split_traces([first, *filter(None, others)])


def _trace_or_none(source: str, probed: ProbeResult, axes: Mapping[str, int]) -> Trace | None:
    try:
        return _trace(Reference(source, probed.form, probed.entry, axes), axes)
    except UserError:
        return None


def _trace(reference: Reference, axes: Mapping[str, int]) -> Trace:
    names = iter(spec.name for spec in reference.specs())
    operators: list[Operator] = []
    results: tuple[str, ...] = ()
    for node in reference.graph().nodes:
        if node.op == "output":
            results = tuple(one.name for one in node.all_input_nodes)
        elif node.op == "placeholder":
            operators.append(_operator(node, next(names), OperatorKind.SOURCE))
        elif node.op == "call_function":
            operators.append(_call(node))
        else:
            raise UserError("the model uses a tensor that its code makes from numbers, which cannot be handed on")
    return Trace(axes=dict(axes), operators=tuple(operators), results=results)


def _operator(node: Node, op: str, kind: OperatorKind) -> Operator:
    value = node.meta["val"]
    first = value[0] if isinstance(value, tuple | list) else value
    stated = str(first.dtype).removeprefix("torch.")
    return Operator(
        name=node.name,
        op=op,
        kind=kind,
        shape=tuple(first.shape),
        dtype=DType(stated) if stated in set(DType) else None,
    )


def _call(node: Node) -> Operator:
    text = _Text()
    uses = tuple(one.name for one in node.all_input_nodes)
    if not isinstance(node.target, OpOverload):
        if node.target is not operator.getitem:
            raise UserError(f"the model calls '{node.target}', which is no operator on tensors")
        call = f"{text.of(node.args[0])}[{text.of(node.args[1])}]"
        plain = _operator(node, "getitem", OperatorKind.FREE)
        return plain.model_copy(update={"text": call, "numbers": tuple(text.numbers), "uses": uses})
    options = {name: value for name, value in node.kwargs.items() if name not in _LEFT_OUT}
    given = [*map(text.of, node.args), *(f"{name}={text.of(value)}" for name, value in options.items())]
    args, kwargs = tree_map_only(Node, lambda one: one.meta["val"], (node.args, dict(node.kwargs)))
    cost = described(node.target, args, kwargs, node.meta["val"])
    kind = _kind(node.target, cost.name)
    free = kind is OperatorKind.FREE
    return _operator(node, cost.name, kind).model_copy(
        update={
            "text": f"torch.ops.{node.target}({', '.join(given)})",
            "numbers": tuple(text.numbers),
            "uses": uses,
            "nbytes": 0 if free else cost.bytes_read + cost.bytes_written,
            "flops": 0 if free else cost.flops,
        }
    )


class _Text:
    """Writes arguments as Python and collects their integers."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def of(self, value: object) -> str:
        """Return one argument, with `NUMBER` for each integer."""
        match value:
            case Node(name=name):
                return str(name)
            case list() | tuple():
                return f"[{', '.join(map(self.of, value))}]"
            case int() if not isinstance(value, bool):
                self.numbers.append(value)
                return NUMBER
        return _literal(value)


def _literal(value: object) -> str:
    match value:
        case bool() | None | str():
            return repr(value)
        case float():
            return repr(value) if math.isfinite(value) else f'float("{value}")'
        case torch.dtype() | torch.memory_format():
            return str(value)
    raise UserError(f"the model hands a {type(value).__name__} to an operator, which cannot be written down")


def _kind(target: OpOverload, name: str) -> OperatorKind:
    told = (
        (OperatorKind.FREE, is_free(target) or name == "aten::_unsafe_view"),
        (OperatorKind.CONTRACTION, target.overloadpacket in flop_registry or name.startswith(_ATTENTION)),
        (OperatorKind.REDUCTION, name in _REDUCTIONS),
        (OperatorKind.POINTWISE, name in _ELEMENTWISE or torch.Tag.pointwise in target.tags),
    )
    return next((kind for kind, holds in told if holds), OperatorKind.OTHER)
