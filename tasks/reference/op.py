"""The op of one executed source: its model, its example inputs, and calling it on given tensors."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call

from tasks.errors import UserError
from tasks.reference.source import Arguments, bind_examples, blame_reference, example_values, execute
from tasks.values import ReferenceForm

_SEED = 0


@dataclass(frozen=True, slots=True)
class Instance:
    """The op made ready: a model (module form) and the arguments that the source states."""

    model: torch.nn.Module | None
    arguments: Arguments

    @property
    def inputs(self) -> dict[str, torch.Tensor]:
        """Example tensors by name."""
        return self.arguments.tensors()

    @property
    def parameters(self) -> dict[str, torch.Tensor]:
        """The model's parameters by dotted name."""
        return dict(self.model.named_parameters()) if self.model is not None else {}

    @property
    def buffers(self) -> dict[str, torch.Tensor]:
        """The model's buffers by dotted name."""
        return dict(self.model.named_buffers()) if self.model is not None else {}


class Op:
    """The op that a source states, at one setting of its constants.

    Attributes
    ----------
    shaped
        The op with tensors that have sizes and types but no memory, where the source allows it.
    """

    def __init__(self, source: str, form: ReferenceForm, entry: str, constants: Mapping[str, int]) -> None:
        self._form = form
        self._entry = entry
        self._module = execute(source, constants)
        self._faking = FakeTensorMode(allow_non_fake_inputs=True)
        if not callable(getattr(self._module, entry, None)):
            raise UserError(f"the reference defines no '{entry}'")
        self.shaped = self._shaped()

    @cached_property
    def model(self) -> torch.nn.Module | None:
        """The model with real parameters; None in function form."""
        return self._build()

    def example_inputs(self) -> dict[str, torch.Tensor]:
        """Draw the source's example inputs, with values."""
        return self._bind(self.model).tensors()

    def constructor_arguments(self) -> Sequence[object] | Mapping[str, object]:
        """Return what the source's model is constructed with, by position or by name; nothing in function form."""
        if self._form is not ReferenceForm.MODULE or not hasattr(self._module, "get_init_inputs"):
            return ()
        with blame_reference("in get_init_inputs()"):
            given = self._module.get_init_inputs()
        return given if isinstance(given, Mapping) else tuple(given)

    @contextmanager
    def shapes_only(self) -> Iterator[None]:
        """Create tensors without memory inside the block."""
        reports = logging.getLogger("torch._subclasses.fake_tensor")
        was_disabled, reports.disabled = reports.disabled, True  # what fails here is raised; PyTorch also logs it
        try:
            with self._faking:
                yield
        finally:
            reports.disabled = was_disabled

    def call(
        self,
        tensors: Mapping[str, torch.Tensor],
        *,
        shapes_only: bool = False,
        traced: bool = False,
        seed: int = _SEED,
        within: AbstractContextManager[object] | None = None,
    ) -> tuple[torch.Tensor, ...]:
        """Call the op on tensors by name: every input and parameter, any of the buffers.

        Parameters
        ----------
        tensors
            Without memory when `shapes_only`.
        shapes_only
            Compute sizes and types, no values.
        traced
            With `shapes_only`, inside `shapes_only()`: leave it to a tracer entered since to see every operator.
        seed
            Set in PyTorch's generator first, so that even an op that draws numbers gives the same twice.
        within
            Entered around the op itself, not around the making of its model and arguments.

        Raises
        ------
        UserError
            A tensor is missing or unknown; the op raises, or returns something else than tensors.
        """
        stated = self.shaped
        self._check_names(tensors, stated)
        bound = stated.arguments.rebound({name: tensors[name] for name in stated.inputs})
        model = stated.model if shapes_only else self.model
        state = {name: tensors[name] for name in tensors if name not in stated.inputs}
        torch.manual_seed(seed)
        with ExitStack() as stack:
            stack.enter_context(blame_reference("when called"))
            if shapes_only and not traced:
                stack.enter_context(self.shapes_only())
            stack.enter_context(within or nullcontext())
            if model is None:
                results = getattr(self._module, self._entry)(*bound.args, **bound.kwargs)
            else:
                stack.enter_context(_attributes_kept(model))
                results = functional_call(model, state, bound.args, bound.kwargs)
        return self._flat(results)

    def _check_names(self, tensors: Mapping[str, torch.Tensor], stated: Instance) -> None:
        needed = stated.inputs.keys() | stated.parameters.keys()
        missing = sorted(needed - tensors.keys())
        unknown = sorted(tensors.keys() - needed - stated.buffers.keys())
        if missing:
            raise UserError(f"the reference also needs the tensors {', '.join(missing)}")
        if unknown:
            raise UserError(f"the reference has no tensors named {', '.join(unknown)}")

    def _shaped(self) -> Instance:
        try:
            with self.shapes_only():
                return self._instance()
        except UserError:
            return self._instance()

    def _instance(self) -> Instance:
        model = self._build()
        made = Instance(model, self._bind(model))
        twice = sorted(made.inputs.keys() & (made.parameters.keys() | made.buffers.keys()))
        if twice:
            raise UserError(f"an input and a parameter or buffer are both called '{twice[0]}': rename the input")
        return made

    def _build(self) -> torch.nn.Module | None:
        if self._form is not ReferenceForm.MODULE:
            return None
        torch.manual_seed(_SEED)
        with blame_reference("when the model is constructed"):
            given = self._module.get_init_inputs() if hasattr(self._module, "get_init_inputs") else ()
            kind = getattr(self._module, self._entry)
            model: torch.nn.Module = kind(**given) if isinstance(given, Mapping) else kind(*given)
        return model.eval()

    def _bind(self, model: torch.nn.Module | None) -> Arguments:
        torch.manual_seed(_SEED)
        function = model.forward if model is not None else getattr(self._module, self._entry)
        arguments = bind_examples(function, example_values(self._module), self._entry)
        for name, value in arguments.named().items():
            inside = value.values() if isinstance(value, dict) else value
            if isinstance(inside, list | tuple) and any(isinstance(item, torch.Tensor) for item in inside):
                raise UserError(
                    f"input '{name}' is a {type(value).__name__} of tensors: pass each as an input of its own"
                )
        return arguments

    def _flat(self, results: object) -> tuple[torch.Tensor, ...]:
        listed = results if isinstance(results, tuple | list) else (results,)
        for result in listed:
            if not isinstance(result, torch.Tensor):
                raise UserError(
                    f"'{self._entry}' returns a {type(result).__name__}: an op returns a tensor or a tuple of them"
                )
        return tuple(listed)


@contextmanager
def _attributes_kept(model: torch.nn.Module) -> Iterator[None]:
    """Put the attributes that a call assigns back: a model that keeps a hidden state starts every call alike."""
    before = [(module, dict(vars(module))) for module in model.modules()]
    try:
        yield
    finally:
        for module, attributes in before:
            vars(module).clear()
            vars(module).update(attributes)
