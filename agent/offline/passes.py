"""Orders a row stage's work into passes over the row, and decides which values a pass keeps for later ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.offline.kernel import KernelWriter
from agent.offline.stages import Output, Reduction, Stage
from agent.offline.terms import TermKind


@dataclass(frozen=True, slots=True)
class Online:
    """A maximum and the sum of exponentials relative to it, found in one walk.

    M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax", 2018 (arXiv:1805.02867).
    """

    most: Reduction
    total: Reduction


@dataclass(frozen=True, slots=True)
class Pass:
    """One walk over the row: terms to compute for each element, then what is done with them."""

    terms: tuple[int, ...]
    """Values computed for each element, in order."""
    recalled: tuple[int, ...]
    """Values that an earlier pass kept."""
    kept: tuple[int, ...]
    """Values of `terms` that later passes recall."""
    per_row: tuple[int, ...]
    """Values that are the same along the row, computed once before the walk."""
    reductions: tuple[Reduction, ...]
    outputs: tuple[Output, ...]
    online: tuple[Online, ...] = ()


@dataclass(frozen=True, slots=True)
class RowProgram:
    """Every pass, and the per-row results that follow them."""

    passes: tuple[Pass, ...]
    slots: dict[int, int]
    """For each kept value, the place that it has along the row; values that never live together share one."""
    final_terms: tuple[int, ...]
    """Per-row values computed after the last pass."""
    row_outputs: tuple[Output, ...]


def depth(stage: Stage, writer: KernelWriter, term: int) -> int:
    """Return how many reductions in a row must be known before a term can be computed."""
    found = stage.terms[term]
    if found.kind is TermKind.REDUCED:
        reduction = next(reduction for reduction in stage.reductions if reduction.node == found.op)
        return depth(stage, writer, reduction.operand) + 1
    return max((depth(stage, writer, operand) for operand in writer.inputs_of(term)), default=0)


def arrange(stage: Stage, writer: KernelWriter, *, keep: bool) -> RowProgram:
    """Return the stage as passes.

    Parameters
    ----------
    keep
        Whether elements loaded and costly values are kept for later passes (registers) or computed again.
    """
    fused = () if keep else _online_pairs(stage)
    steps = _steps(stage, writer, fused)
    walker = _Walker(stage, writer, keep=keep)
    needed = [walker.walk(step.roots) for step in steps]
    passes = []
    for position, step in enumerate(steps):
        terms, recalled, per_row = needed[position]
        later = {term for _, again, _ in needed[position + 1 :] for term in again}
        kept = tuple(term for term in terms if term in later)
        passes.append(Pass(terms, recalled, kept, per_row, step.reductions, step.outputs, step.online))
    row_outputs = tuple(output for output in stage.outputs if output.per_row)
    final = walker.per_row([output.term for output in row_outputs])
    return RowProgram(tuple(passes), _slots(passes), final, row_outputs)


def _slots(passes: Sequence[Pass]) -> dict[int, int]:
    """Give each kept value a place; one whose last reader is the pass that keeps the next makes room for it."""
    last = {term: position for position, step in enumerate(passes) for term in step.recalled}
    slots: dict[int, int] = {}
    free_at: list[int] = []
    for position, step in enumerate(passes):
        for term in step.kept:
            slot = next((i for i, end in enumerate(free_at) if end <= position), len(free_at))
            free_at[slot : slot + 1] = [last[term]]
            slots[term] = slot
    return slots


@dataclass(frozen=True, slots=True)
class _Step:
    """What one walk is for."""

    reductions: tuple[Reduction, ...]
    online: tuple[Online, ...]
    outputs: tuple[Output, ...]

    @property
    def roots(self) -> list[int]:
        """Terms that the walk needs for each element."""
        reduced = [reduction.operand for reduction in self.reductions]
        return [*reduced, *(pair.most.operand for pair in self.online), *(output.term for output in self.outputs)]


def _steps(stage: Stage, writer: KernelWriter, fused: tuple[Online, ...]) -> list[_Step]:
    """One walk for each level of reductions, then one for the outputs along the row."""
    in_pairs = {reduction.node for pair in fused for reduction in (pair.most, pair.total)}
    single = [reduction for reduction in stage.reductions if reduction.node not in in_pairs]
    levels = {reduction.node: depth(stage, writer, reduction.operand) for reduction in stage.reductions}
    steps = []
    for level in sorted({levels[reduction.node] for reduction in (*single, *(pair.most for pair in fused))}):
        plain = tuple(reduction for reduction in single if levels[reduction.node] == level)
        pairs = tuple(pair for pair in fused if levels[pair.most.node] == level)
        steps.append(_Step(plain, pairs, ()))
    full = tuple(output for output in stage.outputs if not output.per_row)
    return [*steps, _Step((), (), full)] if full else steps


def _online_pairs(stage: Stage) -> tuple[Online, ...]:
    """Find every maximum m of f with the sum of exp(f - m)."""
    pairs = []
    for total in stage.reductions:
        exponential = stage.terms[total.operand]
        if total.op != "sum" or exponential.op != "exp" or total.c_type == "int64_t":
            continue
        shifted = stage.terms[exponential.operands[0]]
        if shifted.op != "sub":
            continue
        value, shift = shifted.operands
        for most in stage.reductions:
            subtracts = stage.terms[shift].kind is TermKind.REDUCED and stage.terms[shift].op == most.node
            if most.op == "max" and subtracts and most.operand == value:
                pairs.append(Online(most, total))
    return tuple(pairs)


class _Walker:
    """Collects what each pass must compute, in the order of the passes."""

    def __init__(self, stage: Stage, writer: KernelWriter, *, keep: bool) -> None:
        self._stage = stage
        self._writer = writer
        self._keep = keep
        self._computed: set[int] = set()
        self._hoisted: set[int] = set()

    def walk(self, roots: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Return the pass's own terms, the recalled ones and the new per-row ones."""
        terms: set[int] = set()
        recalled: set[int] = set()
        invariant: list[int] = []
        pending = list(roots)
        while pending:
            term = pending.pop()
            if term in terms or term in recalled:
                continue
            if not self._writer.varies(term, "column"):
                invariant.append(term)
            elif term in self._computed and self._worth(term):
                recalled.add(term)
            else:
                terms.add(term)
                pending.extend(self._writer.inputs_of(term))
        self._computed |= terms
        return tuple(sorted(terms)), tuple(sorted(recalled)), self.per_row(invariant)

    def per_row(self, roots: Sequence[int]) -> tuple[int, ...]:
        """Return the per-row terms among `roots` and their inputs that have no line yet, in order."""
        found: set[int] = set()
        pending = list(roots)
        while pending:
            term = pending.pop()
            if term in found or term in self._hoisted:
                continue
            found.add(term)
            pending.extend(self._writer.inputs_of(term))
        self._hoisted |= found
        return tuple(sorted(term for term in found if self._writer.is_value(term)))

    def _worth(self, term: int) -> bool:
        """Whether to keep a value: a load, a costly one, or one that stands for several loads."""
        if not self._keep:
            return False
        return self._writer.costly(term) or self._is_load(term) or len(self._loads_below(term)) > 1

    def _is_load(self, term: int) -> bool:
        return self._stage.terms[term].kind is TermKind.LOAD

    def _loads_below(self, term: int) -> set[int]:
        found: set[int] = set()
        pending = [term]
        while pending:
            below = pending.pop()
            if self._is_load(below) and self._writer.varies(below, "column"):
                found.add(below)
            pending.extend(self._writer.inputs_of(below))
        return found
