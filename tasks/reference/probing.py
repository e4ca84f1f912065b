"""Finds out what a reference source is: its form, its axes, and its tensors at many sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

import torch

from tasks.errors import UserError
from tasks.reference.bounds import Sighting, extrapolate
from tasks.reference.domains import draw, find_kinds, index_bound
from tasks.reference.running import Reference
from tasks.reference.sizes import Sizes, SizeSearch, Trial
from tasks.reference.source import Entry, execute, find_entry
from tasks.reference.variation import ConstantVariation, DimensionVariation, Variation, runs, with_lowest_index
from tasks.values import Axis, Domain, DomainKind, InputSpec, Precision, ProbedSizes, ProbeResult, Role

MOST_SETS = 9
"""How many sets of sizes a probe gives."""

_ENOUGH_SETS = 4
_SEED = 3


def probe(source: str) -> ProbeResult:
    """Execute `source` and describe the op in it.

    Raises
    ------
    UserError
        In one sentence: it states no task (what was looked for and what was found), it raises, it has no tensor
        inputs, it is random, or it does not run in float64.
    """
    entry = find_entry(source, execute(source, {}))
    stated = Reference(source, entry.form, entry.name, {})
    if not any(spec.role is Role.INPUT for spec in stated.specs()):
        raise UserError("the reference has no tensor inputs: get_inputs() must give at least one tensor")
    probed = _by_constants(source, entry)
    if probed is None or len(probed.varied) < _ENOUGH_SETS:
        probed = _by_dimensions(source, entry, probed)
    if probed is None:
        raise UserError("the reference runs at no sizes that are small enough for verification")
    return probed


def _by_constants(source: str, entry: Entry) -> ProbeResult | None:
    variation = ConstantVariation(source, entry)
    return _Probe(entry, variation).result() if variation.defaults else None


def _by_dimensions(source: str, entry: Entry, otherwise: ProbeResult | None) -> ProbeResult | None:
    """Vary the dimensions of the inputs; keep to `otherwise` when that gives no more sets of sizes."""
    try:
        probed = _Probe(entry, DimensionVariation(source, entry)).result()
    except UserError:
        if otherwise is None:
            raise
        return otherwise
    if probed is None or (otherwise is not None and len(otherwise.varied) >= len(probed.varied)):
        return otherwise
    return probed


class _Probe:
    """The study of one source."""

    def __init__(self, entry: Entry, variation: Variation) -> None:
        self._entry = entry
        self._variation = variation
        self._search = SizeSearch(variation.defaults, self._attempt)
        self._sightings: list[Sighting] = []

    def result(self) -> ProbeResult | None:
        """Run the study; None when no sizes are small enough."""
        defaults = self._variation.defaults
        self._require_running()
        if not self._search.attempt(self._search.base).fits:
            return None
        values = self._study_values(self._search.base)
        found = (self._at(sizes, values) for sizes in self._search.varied())
        varied = tuple(islice((probed for probed in found if probed is not None), MOST_SETS))
        if not varied:
            return None
        return ProbeResult(
            form=self._entry.form,
            entry=self._entry.name,
            axes=tuple(Axis(name=n, default=size, low=self._search.lowest(n)) for n, size in defaults.items()),
            default=ProbedSizes(axes=defaults, inputs=self._at_default(values)),
            varied=varied,
        )

    def _attempt(self, sizes: Sizes) -> Trial:
        try:
            specs = self._variation.specs(sizes)
            succeeds = runs(self._variation.reference(sizes), specs, lambda: self._variation.examples(sizes))
        except UserError:
            return Trial(runs=False)
        return Trial(succeeds, max(spec.nbytes // spec.dtype.itemsize for spec in specs))

    def _require_running(self) -> None:
        """Raise the reference's own error when it runs neither at its own sizes nor at smaller ones.

        A source that looks at values is not tried at sizes that would take long; the smaller ones then decide.
        """
        base = self._search.base
        if not any(self._search.attempt(sizes).runs for sizes in (self._variation.defaults, base)):
            self._variation.reference(base).output_shapes(self._variation.examples(base))

    def _study_values(self, base: Sizes) -> _Values:
        """Run the reference at small sizes; find out which values each tensor takes."""
        reference, stated = self._variation.reference(base), self._variation.examples(base)
        examples = {name: with_lowest_index(tensor) for name, tensor in stated.items()}
        reference.forward(examples, Precision.NATIVE)
        kinds = find_kinds(reference, self._variation.specs(base), examples)
        if reference.is_random(examples):
            raise UserError("the reference is random: two runs on the same inputs differ, so no kernel can be compared")
        for precision in (Precision.ORACLE, Precision.LOWER):
            try:
                reference.forward(examples, precision)
            except UserError as error:
                raise UserError(f"verification runs the reference in {precision} precision too, but {error}") from error
        indices = [name for name, kind in kinds.items() if kind is DomainKind.INDEX]
        return _Values(kinds, {name: max(stated[name].flatten().tolist(), default=0) for name in indices})

    def _at(self, sizes: dict[str, int], values: _Values) -> ProbedSizes | None:
        """Return the tensors at these sizes, or None when the reference does not run on values drawn for them."""
        reference = self._variation.reference(sizes)
        try:
            specs = self._variation.specs(sizes)
            sighting = Sighting(sizes, specs, self._bounds(sizes, values))
            annotated = _annotated(specs, values.kinds, sighting.bounds)
            generator = torch.Generator().manual_seed(_SEED)
            reference.forward({spec.name: draw(spec, generator) for spec in annotated}, Precision.NATIVE)
        except UserError:
            return None
        self._sightings.append(sighting)
        return ProbedSizes(axes=sizes, inputs=annotated)

    def _bounds(self, sizes: Sizes, values: _Values) -> dict[str, int]:
        """Find the bounds of the index tensors, each while the others hold zeros."""
        if not values.seen:
            return {}
        lowest = {name: with_lowest_index(tensor) for name, tensor in self._variation.examples(sizes).items()}
        bounds = {}
        for name, seen in values.seen.items():
            found = index_bound(self._variation.reference(sizes), lowest, name, seen)
            bounds[name] = seen + 1 if found is None else found
        return bounds

    def _at_default(self, values: _Values) -> tuple[InputSpec, ...]:
        defaults = self._variation.defaults
        specs = self._variation.specs(defaults)
        bounds = {name: extrapolate(name, self._sightings, defaults, specs) for name in values.seen}
        return _annotated(specs, values.kinds, bounds)


@dataclass(frozen=True, slots=True)
class _Values:
    """Which values the tensors take."""

    kinds: dict[str, DomainKind]
    """By name, without the buffers that are part of the op."""
    seen: dict[str, int]
    """Largest example value of each index tensor."""


def _annotated(
    specs: tuple[InputSpec, ...], kinds: Mapping[str, DomainKind], bounds: Mapping[str, int]
) -> tuple[InputSpec, ...]:
    """Set the domains; drop the tensors without one, which are part of the op."""
    return tuple(
        spec.model_copy(update={"domain": Domain(kind=kinds[spec.name], high=bounds.get(spec.name))})
        for spec in specs
        if spec.name in kinds
    )
