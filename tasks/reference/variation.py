"""The two ways in which the sizes of a reference vary: its named constants, or the dimensions of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import torch

from tasks.constants import module_constants
from tasks.errors import UserError
from tasks.reference.running import Reference
from tasks.reference.source import Entry
from tasks.values import InputSpec, Role

Sizes = Mapping[str, int]
Tensors = Mapping[str, torch.Tensor]
_SEED = 2
_MOST_BYTES = 1 << 24
_MOST_EXAMPLE_BYTES = 2 << 30
_MOST_HALVINGS = 12
_PROBE_SIZE = 7  # a prime that examples rarely use; 1 would broadcast


class Variation(Protocol):
    """What the search for sizes needs to know about a reference."""

    @property
    def defaults(self) -> dict[str, int]:
        """Axis name to size, as the source states them."""

    def reference(self, sizes: Sizes) -> Reference:
        """Return the reference at these sizes; UserError where it does not execute."""

    def specs(self, sizes: Sizes) -> tuple[InputSpec, ...]:
        """Return its tensors at these sizes."""

    def sizes_of(self, constants: Sizes, specs: tuple[InputSpec, ...]) -> dict[str, int]:
        """Return the axes' sizes where the source's constants have these values and its tensors these sizes."""

    def examples(self, sizes: Sizes) -> dict[str, torch.Tensor]:
        """Return values like those of the source, at these sizes."""


class ConstantVariation:
    """Sizes are module-level integer constants, which are rewritten before the source is executed."""

    def __init__(self, source: str, entry: Entry) -> None:
        self._source = source
        self._entry = entry
        self._references: dict[tuple[tuple[str, int], ...], Reference] = {}
        self.defaults = self._find_axes()

    def reference(self, sizes: Sizes) -> Reference:
        """Execute the source at these sizes, once for each set."""
        key = tuple(sorted(sizes.items()))
        if key not in self._references:
            self._references[key] = Reference(self._source, self._entry.form, self._entry.name, sizes)
        return self._references[key]

    def specs(self, sizes: Sizes) -> tuple[InputSpec, ...]:
        """Return what the source itself states."""
        return self.reference(sizes).specs()

    def sizes_of(self, constants: Sizes, specs: tuple[InputSpec, ...]) -> dict[str, int]:
        """Return the constants that are axes."""
        del specs
        return {name: constants.get(name, size) for name, size in self.defaults.items()}

    def examples(self, sizes: Sizes) -> dict[str, torch.Tensor]:
        """Return the source's own tensors."""
        return self.reference(sizes).examples()

    def _find_axes(self) -> dict[str, int]:
        """Return the constants that can be read off the tensors' sizes.

        In the order of the source, a constant is an axis when it moves a dimension that no earlier axis moves. A
        constant that shows in no size of its own (heads, in heads * width) stays as it is, like any other scalar.
        """
        axes: dict[str, int] = {}
        taken: set[tuple[str, int]] = set()
        for name, value in module_constants(self._source).items():
            moved = self._moved(name, value) if value > 0 else set()
            if moved - taken:
                axes[name] = value
                taken |= moved
        return axes

    def _moved(self, name: str, value: int) -> set[tuple[str, int]]:
        """Return the dimensions that change with a constant, by its first other value that runs.

        The size 1 is no evidence: a tensor of size 1 broadcasts against others that the constant ought to match.
        """
        default = self.reference({}).specs()
        for other in (value + 1, 2 * value, value // 2):
            if other < 2:  # noqa: PLR2004 - see above
                continue
            try:
                reference = self.reference({name: other})
                moved = _differences(default, reference.specs())
                if moved and runs(reference, reference.specs(), reference.examples):
                    return moved
            except UserError:
                continue
        return set()


class DimensionVariation:
    """Sizes are dimensions of the inputs, for a source that states them as literals.

    Every dimension over 1 that can change alone is an axis of its own, called `x_dim0` after its input and position;
    those that can change only together with the other dimensions of equal size share an axis, called after the first.
    """

    def __init__(self, source: str, entry: Entry) -> None:
        self._source = source
        self._entry = entry
        self._reference = Reference(source, entry.form, entry.name, {})
        self._default_specs = self._reference.specs()
        self._examples: dict[str, torch.Tensor] = {}
        self._members = dict(self._find_axes())
        self.defaults = {name: self._size(members[0]) for name, members in self._members.items()}

    def reference(self, sizes: Sizes) -> Reference:
        """Return the one reference there is: it takes its inputs as they come."""
        del sizes
        return self._reference

    def specs(self, sizes: Sizes) -> tuple[InputSpec, ...]:
        """Return the stated inputs with the axes' dimensions replaced."""
        wanted = {place: sizes[axis] for axis, members in self._members.items() if axis in sizes for place in members}
        return self._resized(wanted)

    def sizes_of(self, constants: Sizes, specs: tuple[InputSpec, ...]) -> dict[str, int]:
        """Return the sizes of the dimensions that the axes are called after."""
        del constants
        shapes = {spec.name: spec.shape for spec in specs}
        return {axis: shapes[places[0][0]][places[0][1]] for axis, places in self._members.items()}

    def examples(self, sizes: Sizes) -> dict[str, torch.Tensor]:
        """Return tensors of these sizes that hold values picked at random from the source's own."""
        return self._resampled(self.specs(sizes))

    def _find_axes(self) -> Iterator[tuple[str, list[tuple[str, int]]]]:
        inputs = [spec for spec in self._default_specs if spec.role is Role.INPUT]
        places = [(spec.name, i) for spec in inputs for i, size in enumerate(spec.shape) if size > 1]
        bound = [place for place in places if not self._accepts([place])]
        grouped = {size: [p for p in bound if self._size(p) == size] for size in map(self._size, bound)}
        for place in places:
            if place not in bound:
                yield _axis_name(place), [place]
            elif place == grouped[self._size(place)][0] and self._accepts(grouped[self._size(place)]):
                yield _axis_name(place), grouped[self._size(place)]

    def _accepts(self, places: list[tuple[str, int]]) -> bool:
        specs = self._resized(dict.fromkeys(places, _PROBE_SIZE))
        return runs(self._reference, specs, lambda: self._resampled(specs))

    def _resampled(self, specs: tuple[InputSpec, ...]) -> dict[str, torch.Tensor]:
        if not self._examples:
            self._examples = self._affordable().examples()
        generator = torch.Generator().manual_seed(_SEED)
        return {spec.name: _picked(self._examples[spec.name], spec.shape, generator) for spec in specs}

    def _affordable(self) -> Reference:
        """Return the reference whose example values are taken: with its constants halved together until they fit."""
        constants = module_constants(self._source)
        for halvings in range(_MOST_HALVINGS):
            smaller = {name: max(1, size >> halvings) for name, size in constants.items()} if halvings else {}
            try:
                reference = Reference(self._source, self._entry.form, self._entry.name, smaller)
            except UserError:
                continue
            if sum(spec.nbytes for spec in reference.specs()) <= _MOST_EXAMPLE_BYTES:
                return reference
        held = sum(spec.nbytes for spec in self._default_specs)
        raise UserError(
            f"the example inputs take {held / (1 << 30):.1f} GiB, and no module-level constants (rows = 4096) make "
            "them smaller: state sizes as constants"
        )

    def _size(self, place: tuple[str, int]) -> int:
        name, position = place
        return next(spec.shape[position] for spec in self._default_specs if spec.name == name)

    def _resized(self, wanted: Mapping[tuple[str, int], int]) -> tuple[InputSpec, ...]:
        return tuple(
            spec.model_copy(update={"shape": tuple(wanted.get((spec.name, i), s) for i, s in enumerate(spec.shape))})
            for spec in self._default_specs
        )


def runs(reference: Reference, specs: tuple[InputSpec, ...], examples: Callable[[], Tensors]) -> bool:
    """Tell whether the reference runs on tensors of these sizes and types.

    It runs on sizes alone where it can. A source that looks at values (`if x.sum() > 0`) runs on `examples()`, unless
    they are so large that trying them costs more than they tell.
    """
    try:
        return bool(reference.output_shapes(_without_values(specs)))
    except UserError:
        if max(spec.nbytes for spec in specs) > _MOST_BYTES:
            return False
    try:
        tensors = {name: with_lowest_index(tensor) for name, tensor in examples().items()}
        return bool(reference.output_shapes(tensors))
    except UserError:
        return False


def with_lowest_index(tensor: torch.Tensor) -> torch.Tensor:
    """Replace integers from 0 up, which may be indices beyond these sizes, by zeros."""
    is_index = not tensor.is_floating_point() and tensor.dtype is not torch.bool and bool((tensor >= 0).all())
    return torch.zeros_like(tensor) if is_index else tensor


def _without_values(specs: tuple[InputSpec, ...]) -> Tensors:
    return {spec.name: torch.empty(spec.shape, dtype=getattr(torch, spec.dtype), device="meta") for spec in specs}


def _differences(before: tuple[InputSpec, ...], after: tuple[InputSpec, ...]) -> set[tuple[str, int]]:
    """Return the dimensions (tensor, position) of equal tensors that differ; empty when the tensors are others."""
    if [(s.name, s.dtype, len(s.shape)) for s in before] != [(s.name, s.dtype, len(s.shape)) for s in after]:
        return set()
    return {
        (old.name, position)
        for old, new in zip(before, after, strict=True)
        for position, (a, b) in enumerate(zip(old.shape, new.shape, strict=True))
        if a != b
    }


def _picked(example: torch.Tensor, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    if example.shape == shape:
        return example.clone()
    flat = example.reshape(-1)
    return flat[torch.randint(0, max(1, flat.numel()), shape, generator=generator)]


def _axis_name(place: tuple[str, int]) -> str:
    return f"{place[0]}_dim{place[1]}"
