"""Finds out what a reference source is: its form, its axes, and its tensors at many sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from tasks.constants import module_constants
from tasks.errors import UserError
from tasks.reference.bounds import Sighting, extrapolate
from tasks.reference.dependence import unread_inputs
from tasks.reference.domains import draw, find_kinds, index_bound
from tasks.reference.running import Reference
from tasks.reference.sizes import Sizes, SizeSearch, Trial
from tasks.reference.source import Entry, execute, find_entry
from tasks.reference.variation import ConstantVariation, DimensionVariation, Variation, runs, with_lowest_index
from tasks.values import Axis, Domain, DomainKind, InputSpec, Precision, ProbedSizes, ProbeResult, Role

MOST_SETS = 9
"""How many sets of sizes a probe gives."""

_SETS_OF_A_NETWORK = 2
_ENOUGH_SETS = 4
_SEED = 3


def probe(source: str, stated: Sequence[Sizes] = ()) -> ProbeResult:
    """Execute `source` and describe the op in it.

    Parameters
    ----------
    source
        Python text; executed here.
    stated
        Values of module-level constants; the tensors are described at these sizes too, where they leave the op the
        same (see `ProbeResult.stated`).

    Raises
    ------
    UserError
        In one sentence: it states no task (what was looked for and what was found), it raises, it has no tensor
        inputs, it is random, or it does not run in float64.
    """
    entry = find_entry(source, execute(source, {}))
    written = Reference(source, entry.form, entry.name, {})
    if not any(spec.role is Role.INPUT for spec in written.specs()):
        raise UserError("the reference has no tensor inputs: get_inputs() must give at least one tensor")
    probed = _Search(source, entry, stated).result()
    if probed is None:
        raise UserError("the reference runs at no sizes that are small enough for verification")
    return probed


@dataclass(frozen=True, slots=True)
class _Search:
    """The two ways to find sizes, tried one after the other."""

    source: str
    entry: Entry
    stated: Sequence[Sizes]

    def result(self) -> ProbeResult | None:
        """Vary the module-level constants, else the dimensions of the inputs; None when nothing gets small enough.

        Only a network that is small in neither way is taken with its weights as they are.
        """
        constants = ConstantVariation(self.source, self.entry)
        by_constants = self._probe(constants) if constants.defaults else None
        probed = by_constants.result(self.stated) if by_constants else None
        if probed is not None and len(probed.varied) >= _ENOUGH_SETS:
            return probed
        try:
            by_dimensions = self._probe(DimensionVariation(self.source, self.entry))
            other = by_dimensions.result(self.stated)
        except UserError:
            whole = by_constants.result(self.stated, whole_weights=True) if by_constants and not probed else probed
            if whole is None:
                raise
            return whole
        if probed is None or (other is not None and len(other.varied) > len(probed.varied)):
            probed = other
        whole_first = (probe for probe in (by_constants, by_dimensions) if probe is not None)
        return probed or next(filter(None, (p.result(self.stated, whole_weights=True) for p in whole_first)), None)

    def _probe(self, variation: Variation) -> _Probe:
        return _Probe(self.source, self.entry, variation)


class _Probe:
    """The study of one source."""

    def __init__(self, source: str, entry: Entry, variation: Variation) -> None:
        self._source = source
        self._entry = entry
        self._variation = variation
        self._search = SizeSearch(variation.defaults, self._attempt)
        self._sightings: list[Sighting] = []

    def result(self, stated: Sequence[Sizes], *, whole_weights: bool = False) -> ProbeResult | None:
        """Run the study; None when no sizes are small enough.

        Parameters
        ----------
        stated
            Constants at which to describe the tensors too.
        whole_weights
            Let tensors that no axis makes smaller be as large as they are; then fewer sets of sizes are given.
        """
        defaults = self._variation.defaults
        self._require_running()
        if whole_weights:
            self._search = self._search.with_whole_weights()
        if not self._search.fits(self._search.base):
            return None
        values = self._study_values(self._search.base)
        found = (self._at(sizes, values) for sizes in self._search.varied())
        most = _SETS_OF_A_NETWORK if whole_weights else MOST_SETS
        varied = tuple(islice((probed for probed in found if probed is not None), most))
        if not varied:
            return None
        return ProbeResult(
            form=self._entry.form,
            entry=self._entry.name,
            axes=tuple(Axis(name=n, default=size, low=self._search.lowest(n)) for n, size in defaults.items()),
            default=ProbedSizes(axes=defaults, inputs=self._described(defaults, values)),
            varied=varied,
            stated=tuple(self._stated(sizes, values) for sizes in stated),
            unread=self._unread([*filter(None, [self._at(self._search.base, values)]), *varied]),
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

    def _described(self, sizes: dict[str, int], values: _Values) -> tuple[InputSpec, ...]:
        """Return the tensors at sizes that may be too large to run."""
        specs = self._variation.specs(sizes)
        bounds = {name: extrapolate(name, self._sightings, sizes, specs) for name in values.seen}
        return _annotated(specs, values.kinds, bounds)

    def _stated(self, constants: Sizes, values: _Values) -> ProbedSizes | None:
        """Return the tensors at these constants, None where they make another op or one that does not run.

        Constants that are no axes may differ from those of the source as long as neither the tensors nor the fixed
        arguments differ: such a constant only says which values the source draws.
        """
        try:
            sizes = self._stated_sizes(constants)
            if sizes is None:
                return None
            if self._search.attempt(self._variation.defaults).runs and not self._search.attempt(sizes).runs:
                return None
            return ProbedSizes(axes=sizes, inputs=self._described(sizes, values))
        except UserError:
            return None

    def _stated_sizes(self, constants: Sizes) -> dict[str, int] | None:
        """Return the axes' sizes at these constants, None where the constants that are no axes make another op."""
        written = module_constants(self._source)
        if all(written.get(n) == value or n in self._variation.defaults for n, value in constants.items()):
            return self._variation.sizes_of(constants, self._variation.specs({}))
        there = Reference(self._source, self._entry.form, self._entry.name, constants)
        sizes = self._variation.sizes_of(constants, there.specs())
        here = self._variation.reference(sizes)
        same = there.specs() == self._variation.specs(sizes) and there.fixed_arguments() == here.fixed_arguments()
        return sizes if same else None

    def _unread(self, sets: Sequence[ProbedSizes]) -> tuple[str, ...]:
        """Return the inputs that matter at none of the sizes; one set of sizes alone may be degenerate by its size."""
        unread = tuple(spec.name for spec in sets[0].inputs if spec.role is Role.INPUT)
        for probed in sets:
            if unread:
                found = unread_inputs(self._variation.reference(probed.axes), probed.inputs)
                unread = tuple(name for name in unread if name in found)
        return unread


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
