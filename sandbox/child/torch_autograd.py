"""Backward passes over tensors of a simulated card.

PyTorch's own engine asks a CUDA build which stream each node runs on. This one walks the same graph, node by node: each
is called with the sums of what reached it, in an order in which all that reach it have been called before.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any

import torch
from torch.autograd.graph import get_gradient_edge

from simgpu import UnsupportedError

Gradients = dict[int, torch.Tensor]
"""What has reached a node, by the number of its result."""


def take_over() -> None:
    """Make `Tensor.backward` and `torch.autograd` take the card's tensors."""
    autograd = torch.autograd
    autograd.backward = _for_the_card(autograd.backward, _backward)
    autograd.grad = _for_the_card(autograd.grad, _refuse)


def _for_the_card(usual: Callable[..., Any], ours: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(usual)
    def chosen(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as PyTorch's own
        roots = args[0] if args else kwargs.get("tensors", kwargs.get("outputs", ()))
        on_card = any(root.is_cuda for root in _listed(roots))
        return (ours if on_card else usual)(*args, **kwargs)

    return chosen


def _refuse(*_: object, **__: object) -> None:
    raise UnsupportedError("torch.autograd.grad on the card's tensors: not on a simulated card; use backward()")


def _backward(  # noqa: PLR0917 -- PyTorch's own signature
    tensors: torch.Tensor | Sequence[torch.Tensor],
    grad_tensors: torch.Tensor | Sequence[torch.Tensor | None] | None = None,
    retain_graph: bool | None = None,  # noqa: FBT001 - PyTorch's own signature
    create_graph: bool = False,  # noqa: FBT001, FBT002 - PyTorch's own signature
    grad_variables: object = None,
    inputs: object = None,
) -> None:
    """Add the gradients of the leaves up in their `grad` (PyTorch's function of this name)."""
    del retain_graph  # what it would free is freed with the graph
    if create_graph or grad_variables is not None or inputs is not None:
        raise UnsupportedError("backward() with create_graph or inputs on the card's tensors: not on a simulated card")
    roots = _listed(tensors)
    seeds = [None] * len(roots) if grad_tensors is None else _listed(grad_tensors)
    reached: defaultdict[Any, Gradients] = defaultdict(dict)
    with torch.no_grad():
        for root, seed in zip(roots, seeds, strict=True):
            if seed is None and root.numel() != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            edge = get_gradient_edge(root)
            _add(reached[edge.node], edge.output_nr, torch.ones_like(root) if seed is None else seed)
        for node in _in_order(list(reached)):
            for target, number, gradient in _passed_on(node, reached.pop(node, {})):
                _add(reached[target], number, gradient)


def _in_order(starts: Sequence[Any]) -> Iterator[Any]:
    """Yield each node of the graph once, after all that lead to it."""
    leading, seen, open_ = Counter[Any](), set(starts), list(starts)
    while open_:
        for target, _ in open_.pop().next_functions:
            if target is not None:
                leading[target] += 1
                if target not in seen:
                    seen.add(target)
                    open_.append(target)
    ready = [node for node in starts if not leading[node]]
    while ready:
        node = ready.pop()
        yield node
        for target, _ in node.next_functions:
            if target is not None:
                leading[target] -= 1
                if not leading[target]:
                    ready.append(target)


def _passed_on(node: Any, gradients: Gradients) -> Iterator[tuple[Any, int, torch.Tensor]]:  # noqa: ANN401 - untyped in torch
    """Call a node; yield what it passes on, and to which result of which node."""
    if not gradients:
        return
    if hasattr(node, "variable"):
        leaf, gradient = node.variable, gradients[0]
        leaf.grad = gradient.detach().clone() if leaf.grad is None else leaf.grad + gradient
        return
    given = [gradients.get(number) for number in range(len(node._input_metadata))]  # noqa: SLF001 - its results'
    edges = [edge for edge in node.next_functions if edge[0] is not None]
    if isinstance(node, torch.autograd.function.BackwardCFunction):
        # A function of the script's own: it answers for all arguments, tensors or not, and takes no None.
        answers = _for_each_argument(node, _listed(node.apply(*_with_zeros(node, given))))
        results = [result for result, needed in zip(answers, node.needs_input_grad, strict=True) if needed]
    else:
        found = zip(_listed(node(*given)), node.next_functions, strict=True)
        results = [result for result, edge in found if edge[0] is not None]
    for (target, number), result in zip(edges, results, strict=True):
        if result is not None:
            yield target, number, result


def _for_each_argument(node: Any, answers: Sequence[Any]) -> Sequence[Any]:  # noqa: ANN401 - untyped in torch
    """Return as many answers as the function had arguments; PyTorch lets it answer `None` for more."""
    expected = len(node.needs_input_grad)
    if len(answers) < expected or any(one is not None for one in answers[expected:]):
        counts = f"(expected {expected}, got {len(answers)})"
        raise RuntimeError(f"function {node.name()} returned an incorrect number of gradients {counts}")
    return answers[:expected]


def _with_zeros(node: Any, gradients: Sequence[torch.Tensor | None]) -> Iterator[torch.Tensor]:  # noqa: ANN401 - untyped in torch
    """Yield zeros for what did not reach a result, as PyTorch gives them."""
    for gradient, one in zip(gradients, node._input_metadata, strict=True):  # noqa: SLF001 - the results' shapes
        yield torch.zeros(one.shape, dtype=one.dtype, device=one.device) if gradient is None else gradient


def _add(gradients: Gradients, number: int, gradient: torch.Tensor) -> None:
    gradients[number] = gradients[number] + gradient if number in gradients else gradient


def _listed(given: Any) -> Sequence[Any]:  # noqa: ANN401 - a tensor, a sequence, or None
    return given if isinstance(given, tuple | list) else (given,)
