"""Makes tasks of what a suite states: probes the reference, and adds the suite's own sizes to those that are found."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tasks.errors import UserError
from tasks.importers.values import BackwardStated, Draft, Found, Imported, Scalar, Setting, Suite
from tasks.inference import MOST_ELEMENTS, slug_of, task_from_probe, workload_name
from tasks.loading import Prober
from tasks.size_rules import infer_tensors
from tasks.values import Direction, ProbedSizes, ProbeResult, Purpose, Role, Task, Workload


class Importer(Protocol):
    """Reads one suite. Neither method executes anything of it."""

    @property
    def suite(self) -> Suite:
        """Return the suite's name."""

    def find(self, root: Path) -> tuple[Found, ...]:
        """Return every task at or below `root`, by id; none where nothing is of the suite's format."""

    def read(self, found: Found, root: Path) -> Draft:
        """Return what the suite states about one task.

        Raises
        ------
        UserError
            It cannot be read, or says something that no task can hold; the sentence names it.
        """


def import_found(importer: Importer, found: Found, root: Path, prober: Prober) -> Iterator[Imported]:
    """Import one task of a suite: yield a variant for each op that its settings state, or the reason for none.

    Most tasks have one variant. Settings that change the op itself and not only sizes (a stride, an activation by
    name) make another one, whose id is `ID@2` and so on.

    Raises
    ------
    InfraError
        The reference could not be executed here.
    """
    start = time.perf_counter()
    try:
        draft = importer.read(found, root)
    except UserError as error:
        yield Imported(suite=importer.suite, id=found.id, refusal=str(error), seconds=time.perf_counter() - start)
        return
    pending, position = list(draft.settings), 0
    while pending:
        position += 1
        start = time.perf_counter()
        suffix = "" if position == 1 else f"@{position}"
        made = Imported(suite=importer.suite, id=found.id + suffix)
        try:
            variant = _variant(draft, pending, slug_of(draft.name + suffix.replace("@", "-")), prober)
            result = {"task": variant.task, "notes": variant.notes}
            pending = variant.left
        except UserError as error:
            result = {"refusal": str(error)}
            pending = [setting for setting in pending if _options(setting) != _options(pending[0])]
        yield made.model_copy(update=result | {"seconds": time.perf_counter() - start})


@dataclass(frozen=True, slots=True)
class _Variant:
    """One op of a draft."""

    task: Task
    notes: tuple[str, ...]
    left: list[Setting]
    """Settings that state another op."""


def _variant(draft: Draft, pending: Sequence[Setting], slug: str, prober: Prober) -> _Variant:
    """Make the task that the first of the settings states, with all the others that state the same op."""
    first, others = pending[0], pending[1:]
    source = draft.source_at(first)
    alike = [setting for setting in others if _options(setting) == _options(first)]
    small = [setting for setting in draft.small if _options(setting) == _options(first)]
    probed = prober.probe(source, [_integers(setting) for setting in (*alike, *small)])
    _require_dependence(probed)
    bench = [one for one in probed.stated[: len(alike)] if one is not None]
    verify = [one for one in probed.stated[len(alike) :] if one is not None and _fits(one)]
    covered = [setting for setting, one in zip(alike, probed.stated, strict=False) if one is not None]
    task = _with_sizes(task_from_probe(slug, source, probed), bench, verify, draft.source)
    task = task.model_copy(update={"slug": slug, "tolerance": draft.tolerance, "provenance": draft.provenance})
    if draft.backward is not None:
        task = _backward(task, draft.backward)
    left = [setting for setting in others if setting not in covered]
    return _Variant(task, (*draft.notes, *_notes(probed, small, verify)), left)


def _with_sizes(task: Task, bench: Sequence[ProbedSizes], verify: Sequence[ProbedSizes], source: str) -> Task:
    """Add the suite's own sizes, without those that are there already."""
    known = {workload.name for workload in task.workloads}
    stated = [
        *(Workload(name=workload_name(one.axes), axes=one.axes, inputs=one.inputs) for one in verify),
        *(
            Workload(name=f"bench:{workload_name(one.axes)}", axes=one.axes, inputs=one.inputs, purpose=Purpose.BENCH)
            for one in bench
        ),
    ]
    new = {workload.name: workload for workload in stated if workload.name not in known}
    sourced = (
        workload.model_copy(update={"source": source}) if workload.purpose is Purpose.BENCH else workload
        for workload in (*task.workloads, *new.values())
    )
    workloads = tuple(sourced)
    tensors = infer_tensors([(workload.axes, workload.inputs) for workload in workloads]) or ()
    return task.model_copy(update={"workloads": workloads, "tensors": tensors})


def _backward(task: Task, stated: BackwardStated) -> Task:
    specs = {spec.name: spec for spec in task.workloads[0].inputs}
    unknown = [name for name in (*stated.differentiated, *stated.saved) if name not in specs and name != "output"]
    if unknown:
        raise UserError(f"its backward pass names '{unknown[0]}', which is no tensor that a candidate receives")
    floating = tuple(name for name in stated.differentiated if specs[name].dtype.is_floating)
    if not floating:
        raise UserError("its backward pass asks for the gradient of no floating tensor")
    return task.model_copy(
        update={"direction": Direction.BACKWARD, "saved": stated.saved, "gradients": floating},
    )


def _require_dependence(probed: ProbeResult) -> None:
    inputs = {spec.name for spec in probed.default.inputs if spec.role is Role.INPUT}
    if inputs and inputs <= set(probed.unread):
        raise UserError(
            "the reference is degenerate: other values of its inputs change its result by no more than rounding does, "
            "so a kernel that reads nothing would pass"
        )


def _notes(probed: ProbeResult, small: Sequence[Setting], verify: Sequence[ProbedSizes]) -> Iterator[str]:
    for name in probed.unread:
        yield f"the input '{name}' changes no result: a kernel may leave it unread"
    if len(verify) < len(small):
        yield (
            f"{len(small) - len(verify)} of the {len(small)} sizes that the suite checks at are too large to check on "
            "a simulated device, or state another op; smaller ones take their place"
        )
    if not probed.axes:
        yield "no size of the reference can vary, so a kernel is checked at one set of sizes only"


def _fits(sizes: ProbedSizes) -> bool:
    return all(math.prod(spec.shape) <= MOST_ELEMENTS for spec in sizes.inputs)


def _integers(setting: Setting) -> dict[str, int]:
    return {name: value for name, value in setting.items() if _is_size(value) and isinstance(value, int)}


def _options(setting: Setting) -> dict[str, Scalar]:
    """Return what a source cannot be given other values of: everything that is no integer."""
    return {name: value for name, value in setting.items() if not _is_size(value)}


def _is_size(value: Scalar) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
