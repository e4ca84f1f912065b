"""Traces a task's reference; runs in a sandboxed child, because it executes the untrusted source.

`python -m agent.offline.trace_child REQUEST REPLY` reads a `TraceRequest` as JSON from one file and writes a
`TraceReply` to another: the source may print what it likes.

The op is traced twice with fake tensors (`torch.fx`'s `make_fx`): first as it is, which also resolves
autograd into plain operators; then functionalised and decomposed to PyTorch's primitives (`prims`), a small
closed set in which broadcasting is explicit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch._decomp import decomposition_table
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from agent.offline.graph import ARGUMENT, NodeRef, RawArg, RawNode, RawTrace, TraceReply, TraceRequest
from tasks.reference import Reference
from tasks.values import DType, InputSpec, Precision

_KEPT_WHOLE = (
    torch.ops.aten.mm.default,
    torch.ops.aten.addmm.default,
    torch.ops.aten.bmm.default,
    torch.ops.aten.cumsum.default,  # decomposes into a masked sum over all pairs: right, and far too slow
    torch.ops.aten.cumprod.default,  # likewise
)
Traced = Callable[..., Sequence[torch.Tensor]]


def _fake_tensor(mode: FakeTensorMode, shape: Sequence[int], dtype: str) -> torch.Tensor:
    with mode:
        return torch.empty(tuple(shape), dtype=getattr(torch, dtype))


def trace_function(function: Traced, arguments: Sequence[torch.Tensor], mode: FakeTensorMode) -> torch.fx.GraphModule:
    """Return the graph of `function` at fake `arguments`, in primitives and matrix products."""
    table = {op: rule for op, rule in decomposition_table.items() if op not in _KEPT_WHOLE}
    with mode:
        plain = make_fx(function)(*arguments)
        decomposed = make_fx(torch.func.functionalize(plain), decomposition_table=table)(*arguments)
    decomposed.graph.eliminate_dead_code()
    return decomposed


def _argument(value: object) -> RawArg:
    if isinstance(value, torch.fx.Node):
        return NodeRef(ref=value.name)
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    if isinstance(value, list | tuple | torch.Size):
        if value and all(isinstance(item, torch.fx.Node) for item in value):
            return tuple(NodeRef(ref=item.name) for item in value)
        return tuple(int(item) for item in value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return repr(value)


def _target(node: torch.fx.Node) -> str:
    return "input" if node.op == "placeholder" else str(node.target)


def record(module: torch.fx.GraphModule, names: Sequence[str], axes: Mapping[str, int]) -> RawTrace:
    """Return the graph as a value; `names` are what its placeholders stand for."""
    nodes: list[RawNode] = []
    outputs: tuple[str, ...] = ()
    placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
    for node, name in zip(placeholders, _identifiers(names), strict=True):
        node.name = name
    for node in module.graph.nodes:
        if node.op == "output":
            results = node.args[0] if isinstance(node.args[0], list | tuple) else (node.args[0],)
            outputs = tuple(result.name for result in results)
            continue
        result = _first_tensor(node.meta["val"] if "val" in node.meta else getattr(module, str(node.target)))
        nodes.append(
            RawNode(
                name=node.name,
                target=_target(node) if node.op != "get_attr" else "constant",
                args=tuple(_argument(value) for value in node.args),
                options={key: _argument(value) for key, value in node.kwargs.items()},
                shape=tuple(result.shape),
                dtype=DType(str(result.dtype).removeprefix("torch.")),
            )
        )
    return RawTrace(axes=dict(axes), names=tuple(names), nodes=tuple(nodes), outputs=outputs)


def _first_tensor(result: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the result whose type stands for the node; operators with several have no schedule anyway."""
    return result if isinstance(result, torch.Tensor) else result[0]


def _identifiers(names: Sequence[str]) -> list[str]:
    """Names of the input nodes, which no traced operation has."""
    return [f"{ARGUMENT}{position}" for position in range(len(names))]


def _trace_forward(reference: Reference, specs: Sequence[InputSpec], axes: Mapping[str, int]) -> RawTrace:
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    arguments = [_fake_tensor(mode, spec.shape, spec.dtype) for spec in specs]

    def forward(*tensors: torch.Tensor) -> Sequence[torch.Tensor]:
        named = {spec.name: tensor for spec, tensor in zip(specs, tensors, strict=True)}
        return reference.forward(named, Precision.NATIVE)

    with mode:
        forward(*arguments)  # builds the model before anything is recorded
    module = trace_function(forward, arguments, mode)
    return record(module, [spec.name for spec in specs], axes)


def _trace_backward(
    reference: Reference, specs: Sequence[InputSpec], request: TraceRequest, axes: Mapping[str, int]
) -> RawTrace:
    """Trace the joint graph; results are the gradients, then the saved tensors, for the parent to cut at."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    arguments = [_fake_tensor(mode, spec.shape, spec.dtype) for spec in specs]
    with mode:
        results = reference.forward(
            {spec.name: tensor for spec, tensor in zip(specs, arguments, strict=True)}, Precision.NATIVE
        )
    upstream = [
        _fake_tensor(mode, result.shape, str(result.dtype).removeprefix("torch."))
        for result in results
        if result.is_floating_point()
    ]
    count = len(specs)

    def backward(*tensors: torch.Tensor) -> Sequence[torch.Tensor]:
        named = {spec.name: tensor for spec, tensor in zip(specs, tensors[:count], strict=True)}
        result = reference.backward(named, tensors[count:], request.saved, request.gradients, Precision.NATIVE)
        return (*result.gradients, *result.saved)

    module = trace_function(backward, [*arguments, *upstream], mode)
    names = [spec.name for spec in specs] + [f"grad.{index}" for index in range(len(upstream))]
    return record(module, names, axes)


def answer(request: TraceRequest) -> TraceReply:
    """Trace the reference at every set of sizes that it accepts."""
    traces: list[RawTrace] = []
    problems: list[str] = []
    for axes in request.axes:
        try:
            reference = Reference(request.source, request.form, request.entry, axes)
            specs = reference.specs()
            if request.backward:
                traces.append(_trace_backward(reference, specs, request, axes))
            else:
                traces.append(_trace_forward(reference, specs, axes))
        except Exception as error:  # noqa: BLE001 -- the user's code may raise anything; the process reports and ends
            problems.append(f"{type(error).__name__}: {error}")
    return TraceReply(traces=tuple(traces), problems=tuple(problems))


def main() -> None:
    """Answer one request."""
    request = TraceRequest.model_validate_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(sys.argv[2]).write_text(answer(request).model_dump_json(), encoding="utf-8")


if __name__ == "__main__":
    main()
