"""Runs one reference source at one set of sizes: forward, backward, and the operators that it stands for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from pydantic import JsonValue, TypeAdapter
from torch.fx.experimental.proxy_tensor import make_fx

from tasks.constants import DIMENSION_AXIS, module_constants
from tasks.errors import UserError
from tasks.reference.eager import Arguments, Recorder
from tasks.reference.op import Op
from tasks.reference.precision import convert, running_in
from tasks.reference.recurrent import RecurrentShapes
from tasks.reference.source import blame_reference
from tasks.values import (
    CallItem,
    Construction,
    Domain,
    DomainKind,
    DType,
    EagerOp,
    InputSpec,
    Outline,
    OutputShape,
    Precision,
    ReferenceForm,
    Role,
)

_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)


@dataclass(frozen=True, slots=True)
class BackwardResult:
    """What one backward run gave."""

    gradients: tuple[torch.Tensor, ...]
    """Gradients in the order asked for; float64 from the oracle, else in the tensors' own types."""
    saved: tuple[torch.Tensor, ...]
    """The tensors asked for, always from a run in native precision: what a candidate is given."""


class Reference:
    """One reference source with its sizes set.

    Parameters
    ----------
    source
        Python text; executed here.
    form, entry
        What the source is (see `Task.form` and `Task.entry`).
    axes
        Sizes. Names of module-level constants rewrite these; names such as `x_dim0` (see `DIMENSION_AXIS`) state
        sizes of inputs, which a source without constants takes as they come.

    Raises
    ------
    UserError
        The source does not execute, or an axis is neither a constant nor a dimension.
    """

    def __init__(self, source: str, form: ReferenceForm, entry: str, axes: Mapping[str, int]) -> None:
        known = module_constants(source)
        constants = {n: size for n, size in axes.items() if n in known or not DIMENSION_AXIS.fullmatch(n)}
        self._op = Op(source, form, entry, constants)

    def specs(self) -> tuple[InputSpec, ...]:
        """Return the tensors that the source states: inputs, then parameters, then buffers.

        Sizes are those of the source and its constants; a domain is only what the element type says (booleans are
        masks, other types have no bounds): `probe` finds out more.
        """
        stated = self._op.shaped
        return (
            *(_spec(name, tensor, Role.INPUT) for name, tensor in stated.inputs.items()),
            *(_spec(name, tensor, Role.PARAMETER) for name, tensor in stated.parameters.items()),
            *(_spec(name, tensor, Role.BUFFER) for name, tensor in stated.buffers.items()),
        )

    def examples(self) -> dict[str, torch.Tensor]:
        """Return the source's own tensors with values: example inputs, fresh parameters and buffers."""
        model = self._op.model
        state = [*model.named_parameters(), *model.named_buffers()] if model is not None else []
        return {n: tensor.detach().clone() for n, tensor in (*self._op.example_inputs().items(), *state)}

    def forward(self, tensors: Mapping[str, torch.Tensor], precision: Precision) -> tuple[torch.Tensor, ...]:
        """Compute the op in evaluation mode.

        Parameters
        ----------
        tensors
            Every input and parameter by name, and the buffers to set; a buffer that is left out keeps the value that
            the constructor gave it. They are copied, never changed.
        precision
            Results have type float64 from the oracle, else the types that the source gives.

        Raises
        ------
        UserError
            A tensor is missing or unknown, or the reference raises.
        """
        with torch.no_grad():
            return self._op.call(self._converted(tensors, precision), within=running_in(precision))

    def is_random(self, tensors: Mapping[str, torch.Tensor]) -> bool:
        """Tell whether two native runs on the same tensors differ when PyTorch's generator starts elsewhere."""
        with torch.no_grad():
            first, second = (self._op.call(self._converted(tensors, Precision.NATIVE), seed=seed) for seed in (1, 2))
        return not all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(first, second, strict=True))

    def output_shapes(self, tensors: Mapping[str, torch.Tensor]) -> tuple[tuple[DType, tuple[int, ...]], ...]:
        """Return type and sizes of each result, in native precision and without computing anything where possible."""
        results = self._on_shapes(tensors) or self.forward(tensors, Precision.NATIVE)
        return tuple((_dtype(result), tuple(result.shape)) for result in results)

    def backward(
        self,
        tensors: Mapping[str, torch.Tensor],
        output_gradients: Sequence[torch.Tensor],
        saved: Sequence[str],
        gradients: Sequence[str],
        precision: Precision,
    ) -> BackwardResult:
        """Compute gradients with autograd.

        Parameters
        ----------
        tensors
            As for `forward`.
        output_gradients
            One per floating result of the forward, in order.
        saved
            Names of tensors to return beside the gradients: `output` or `output.N` for a result of the forward.
        gradients
            Names of the inputs and parameters to differentiate by.
        precision
            Precision of the forward and the backward pass.

        Raises
        ------
        UserError
            As for `forward`; or a name is no tensor of the reference, or has no gradient.
        """
        kept = self._saved(tensors, saved)
        leaves = self._converted(tensors, precision)
        results = self._differentiable(leaves, gradients, within=running_in(precision))
        with running_in(precision):
            found = _differentiate(results, output_gradients, leaves, gradients)
        return BackwardResult(found, kept)

    def eager_call(
        self,
        tensors: Mapping[str, torch.Tensor],
        output_gradients: Sequence[torch.Tensor] = (),
        gradients: Sequence[str] = (),
    ) -> Callable[[], object]:
        """Return what is timed of eager PyTorch: the forward pass, or with output gradients the backward pass alone.

        Parameters are as for `forward` and `backward`; the tensors may lie on any device.

        Raises
        ------
        UserError
            As for `forward` and `backward`; what is returned raises it too.
        """
        given = self._converted(tensors, Precision.NATIVE)
        if not output_gradients:
            return lambda: self._undifferentiated(given)
        results = self._differentiable(given, gradients)
        return lambda: _differentiate(results, output_gradients, given, gradients, again=True)

    def eager_ops(self, tensors: Mapping[str, torch.Tensor], gradients: Sequence[str] = ()) -> tuple[EagerOp, ...]:
        """List the operators that eager PyTorch launches: for the forward, or for the gradients by `gradients`.

        Only sizes and types of `tensors` matter (meta tensors will do). Nothing is computed unless the op depends
        on values; then `tensors` must hold some.
        """
        try:
            with self._op.shapes_only():
                return self._record(_without_memory(tensors), gradients, shapes_only=True)
        except UserError:
            if any(tensor.is_meta for tensor in tensors.values()):
                raise
            return self._record(dict(tensors), gradients, shapes_only=False)

    def outline(self, stated: Sequence[InputSpec]) -> Outline:
        """Return the source's own tensors, and the results' types and sizes on tensors of the stated ones.

        Nothing is computed unless the op depends on values; then it runs on zeros, which are legal for every tensor,
        indices included.
        """
        try:
            found = self.output_shapes(_zeros(stated, "meta"))
        except UserError:
            found = self.output_shapes(_zeros(stated, "cpu"))
        outputs = tuple(OutputShape(dtype=dtype, shape=shape) for dtype, shape in found)
        return Outline(tensors=self.specs(), outputs=outputs)

    def eager_ops_at(self, stated: Sequence[InputSpec], gradients: Sequence[str] = ()) -> tuple[EagerOp, ...]:
        """List the operators as `eager_ops` does, on tensors of the stated types and sizes; as `outline` on zeros."""
        try:
            return self.eager_ops(_zeros(stated, "meta"), gradients)
        except UserError:
            return self.eager_ops(_zeros(stated, "cpu"), gradients)

    def tensors_given(self, tensors: Mapping[str, torch.Tensor]) -> frozenset[str]:
        """Return the names of the tensors that some operator of a forward run is given."""
        given = self._converted(tensors, Precision.NATIVE)
        seen = Arguments({tensor.data_ptr(): name for name, tensor in given.items()})
        with torch.no_grad():
            self._op.call(given, within=seen)
        return frozenset(seen.names)

    def graph(self) -> torch.fx.Graph:
        """Trace a forward run on shapes alone, in evaluation mode and without what is changed in place.

        The graph's placeholders are the tensors of `specs`, in that order.

        Raises
        ------
        UserError
            The reference raises, or looks at values.
        """
        names = [spec.name for spec in self.specs()]

        def run(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return self._op.call(dict(zip(names, values, strict=True)), shapes_only=True, traced=True)

        with self._op.shapes_only(), torch.no_grad(), blame_reference("when traced"):
            shapes = [torch.empty(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in self.specs()]
            return make_fx(torch.func.functionalize(run))(*shapes).graph

    def fixed_arguments(self) -> str:
        """Return, as text to compare, what the model is constructed with and what it is called with beside tensors."""
        fixed = {n: v for n, v in self._op.shaped.arguments.named().items() if not isinstance(v, torch.Tensor)}
        return repr((self._op.constructor_arguments(), fixed))

    def construction(self) -> Construction:
        """Return how the source's model is constructed and called.

        Raises
        ------
        UserError
            An argument is neither a tensor input nor a value that JSON can spell.
        """
        given = self._op.constructor_arguments()
        stated = self._op.shaped
        names = {id(tensor): name for name, tensor in stated.inputs.items()}
        bound = stated.arguments.bound
        if bound.kwargs:
            raise UserError(
                f"the reference takes '{next(iter(bound.kwargs))}' by keyword only, which ModelNew is not given"
            )
        return Construction(
            positional=() if isinstance(given, Mapping) else tuple(_plain(one, "constructor") for one in given),
            named={str(n): _plain(one, "constructor") for n, one in given.items()}
            if isinstance(given, Mapping)
            else {},
            call=tuple(
                CallItem(tensor=names[id(one)]) if id(one) in names else CallItem(fixed=_plain(one, "forward"))
                for one in bound.args
            ),
            inputs=tuple(stated.inputs),
            state=(*stated.parameters, *stated.buffers),
        )

    def _undifferentiated(self, tensors: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        with torch.no_grad():
            return self._op.call(tensors)

    def _record(
        self, tensors: dict[str, torch.Tensor], gradients: Sequence[str], *, shapes_only: bool
    ) -> tuple[EagerOp, ...]:
        ops: list[EagerOp] = []
        if not gradients:
            with torch.no_grad():
                self._op.call(tensors, shapes_only=shapes_only, within=Recorder(ops))
            return tuple(ops)
        leaves = {name: tensor.detach() for name, tensor in tensors.items()}
        results = self._differentiable(leaves, gradients, shapes_only=shapes_only)
        ones = [torch.ones_like(result) for result in results if result.is_floating_point()]
        with Recorder(ops):
            _differentiate(results, ones, leaves, gradients)
        return tuple(ops)

    def _on_shapes(self, tensors: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...] | None:
        try:
            with self._op.shapes_only(), torch.no_grad():
                return self._op.call(_without_memory(tensors), shapes_only=True, within=RecurrentShapes())
        except UserError:
            return None

    def _saved(self, tensors: Mapping[str, torch.Tensor], saved: Sequence[str]) -> tuple[torch.Tensor, ...]:
        results: dict[str, torch.Tensor] = {}
        if any(name not in tensors for name in saved):
            outputs = self.forward(tensors, Precision.NATIVE)
            results = {"output": outputs[0]} | {f"output.{i}": output for i, output in enumerate(outputs)}
        available = results | dict(tensors)
        for name in saved:
            if name not in available:
                raise UserError(f"the task saves '{name}', which is neither a tensor nor a result of the reference")
        return tuple(available[name].clone() for name in saved)

    def _converted(self, tensors: Mapping[str, torch.Tensor], precision: Precision) -> dict[str, torch.Tensor]:
        constructed = dict(self._op.model.named_buffers()) if self._op.model is not None else {}
        return {name: convert(tensor, precision) for name, tensor in (constructed | dict(tensors)).items()}

    def _differentiable(
        self,
        leaves: Mapping[str, torch.Tensor],
        gradients: Sequence[str],
        *,
        shapes_only: bool = False,
        within: AbstractContextManager[object] | None = None,
    ) -> tuple[torch.Tensor, ...]:
        for name in gradients:
            if name not in leaves or not leaves[name].is_floating_point():
                raise UserError(f"the task asks for the gradient of '{name}', which is no floating tensor of the op")
            leaves[name].requires_grad_()
        with torch.enable_grad():
            return self._op.call(leaves, shapes_only=shapes_only, within=within)


def _differentiate(
    results: Sequence[torch.Tensor],
    output_gradients: Sequence[torch.Tensor],
    leaves: Mapping[str, torch.Tensor],
    gradients: Sequence[str],
    *,
    again: bool = False,
) -> tuple[torch.Tensor, ...]:
    """Return the gradients by `gradients`; with `again` the results can be differentiated once more."""
    floating = [result for result in results if result.is_floating_point()]
    if len(floating) != len(output_gradients):
        raise UserError(f"the op has {len(floating)} floating results, so it needs as many output gradients")
    given = [gradient.to(result.dtype) for gradient, result in zip(output_gradients, floating, strict=True)]
    with blame_reference("in its backward pass"):
        by = [leaves[name] for name in gradients]
        found = torch.autograd.grad(floating, by, given, allow_unused=True, retain_graph=again)
    for name, gradient in zip(gradients, found, strict=True):
        if gradient is None:
            raise UserError(f"the results do not depend on '{name}', so it has no gradient")
    return tuple(gradient.detach() for gradient in found)


def _zeros(specs: Sequence[InputSpec], device: str) -> dict[str, torch.Tensor]:
    return {s.name: torch.zeros(s.shape, dtype=getattr(torch, s.dtype.value), device=device) for s in specs}


def _without_memory(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copy sizes, strides and types; called where tensors are created without memory."""
    return {n: torch.empty_strided(t.shape, t.stride(), dtype=t.dtype) for n, t in tensors.items()}


def _spec(name: str, tensor: torch.Tensor, role: Role) -> InputSpec:
    dtype = _dtype(tensor, name)
    domain = Domain(kind=DomainKind.MASK) if dtype is DType.BOOL else Domain()
    return InputSpec(name=name, shape=tuple(tensor.shape), dtype=dtype, domain=domain, role=role)


def _plain(value: object, where: str) -> JsonValue:
    """Return an argument as JSON can spell it; tuples become lists, as in any JSON."""
    try:
        return _JSON.validate_json(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        kind = type(value).__name__
        raise UserError(
            f"a {kind} among the arguments of the reference's {where} cannot be given to ModelNew"
        ) from error


def _dtype(tensor: torch.Tensor, name: str = "result") -> DType:
    stated = str(tensor.dtype).removeprefix("torch.")
    try:
        return DType(stated)
    except ValueError as error:
        known = ", ".join(DType)
        raise UserError(f"'{name}' has element type {stated}, which tasks do not support (they do: {known})") from error
