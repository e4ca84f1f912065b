"""Orders a row stage's work into passes over the row, and decides which values a pass keeps for later ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.offline.kernel import KernelWriter
from agent.offline.stages import Output, Reduction, Stage
from agent.offline.terms import TermKind


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


@dataclass(frozen=True, slots=True)
class RowProgram:
    """Every pass, and the per-row results that follow them."""

    passes: tuple[Pass, ...]
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
    levels: dict[int, list[Reduction]] = {}
    for reduction in stage.reductions:
        levels.setdefault(depth(stage, writer, reduction.operand), []).append(reduction)
    full = tuple(output for output in stage.outputs if not output.per_row)
    work = [(tuple(levels[level]), ()) for level in sorted(levels)]
    steps: list[tuple[tuple[Reduction, ...], tuple[Output, ...]]] = [*work, *([((), full)] if full else [])]
    walker = _Walker(stage, writer, keep=keep)
    needed = [
        walker.walk([*(r.operand for r in reductions), *(o.term for o in outputs)]) for reductions, outputs in steps
    ]
    passes = []
    for position, (reductions, outputs) in enumerate(steps):
        terms, recalled, per_row = needed[position]
        later = {term for _, again, _ in needed[position + 1 :] for term in again}
        kept = tuple(term for term in terms if term in later)
        passes.append(Pass(terms, recalled, kept, per_row, reductions, outputs))
    row_outputs = tuple(output for output in stage.outputs if output.per_row)
    final = walker.per_row([output.term for output in row_outputs])
    return RowProgram(tuple(passes), final, row_outputs)


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
        is_load = self._stage.terms[term].kind is TermKind.LOAD
        return self._keep and (is_load or self._writer.costly(term))
