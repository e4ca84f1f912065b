"""A task's page, made of its data: what it computes, its sizes, what it costs at least, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tasks.values import Axis, Purpose, Task, TensorEntry, Visibility, Workload
from verifier.cost import WorkloadCost

_THOUSAND = 1000.0


def task_page(task: Task, costs: Sequence[WorkloadCost]) -> str:
    """Return the page of a task as Markdown.

    Parameters
    ----------
    task
        What the page is about.
    costs
        Of its workloads (`verifier.cost.task_costs`).
    """
    sections = (_head(task), _tensors(task, costs), _sizes(task), _bench(task, costs), _judged(task), _origin(task))
    return "\n".join(line for section in sections for line in section) + "\n"


def catalogue_index(tasks: Iterable[Task]) -> str:
    """Return the page that lists tasks by family, each with a link to `SLUG.md`."""
    by_family: dict[str, list[Task]] = {}
    for task in tasks:
        by_family.setdefault(task.family, []).append(task)
    lines = ["# Catalogue", "", f"The {sum(map(len, by_family.values()))} tasks of the library, by family.", ""]
    for family, members in sorted(by_family.items()):
        lines += [f"## {family}", ""]
        lines += _table(
            ("task", "direction", "computes"),
            [(f"[{task.slug}]({task.slug}.md)", task.direction, task.title) for task in members],
        )
    return "\n".join(lines) + "\n"


def _head(task: Task) -> Iterator[str]:
    yield f"# {task.slug}"
    yield ""
    yield f"{task.title}. Family: {task.family}; direction: {task.direction}."
    yield ""
    if task.formula:
        yield from ("```", task.formula.strip(), "```", "")
    if task.why:
        yield from (f"Why a kernel: {task.why.strip()}", "")


def _tensors(task: Task, costs: Sequence[WorkloadCost]) -> Iterator[str]:
    """List what the op reads, and what a kernel returns at the first bench sizes."""
    entries = task.tensors or _concrete(task.workloads[0])
    yield from ("## Tensors", "")
    values = dict(
        zip((e.name for e in entries), (str(s.domain) or "any" for s in task.workloads[0].inputs), strict=True)
    )
    rows: list[tuple[str, ...]] = [
        (f"`{e.name}`", e.role, e.dtype, f"[{', '.join(map(str, e.shape))}]", values[e.name]) for e in entries
    ]
    yield from _table(("tensor", "role", "type", "shape", f"values at {task.workloads[0].name}"), rows)
    if task.gradients:
        saved = ", ".join(f"`{name}`" for name in task.saved) or "nothing"
        wanted = ", ".join(f"`{name}`" for name in task.gradients)
        yield from (f"A kernel is given the gradients of the results, then {saved}; it returns those of {wanted}.", "")
    cost = next((cost for cost in costs if cost.purpose is Purpose.BENCH), None)
    if cost is not None:
        shapes = ", ".join(f"{output.dtype}[{', '.join(map(str, output.shape))}]" for output in cost.outputs)
        yield from (f"At {cost.workload} a kernel returns {shapes}.", "")
    if task.hyperparameters:
        rows = [(f"`{h.name}`", repr(h.value), h.meaning) for h in task.hyperparameters]
        yield from _table(("constant", "value", "meaning"), rows)


def _concrete(workload: Workload) -> tuple[TensorEntry, ...]:
    """Return the tensors at one workload, where no rule over the axes is known."""
    return tuple(
        TensorEntry(name=spec.name, shape=spec.shape, dtype=spec.dtype, role=spec.role) for spec in workload.inputs
    )


def _sizes(task: Task) -> Iterator[str]:
    yield from ("## Sizes", "")
    if task.axes:
        rows = [(f"`{axis.name}`", str(axis.default), _range(axis)) for axis in task.axes]
        yield from _table(("axis", "in the source", "legal"), rows)
    if task.constraints:
        yield from ("Legal sizes fulfil " + ", ".join(f"`{one}`" for one in task.constraints) + ".", "")
    public = task.workloads_for(Purpose.VERIFY, Visibility.PUBLIC)
    hidden = len(task.workloads_for(Purpose.VERIFY)) - len(public)
    yield from (f"Verified at {len(public)} public sets of sizes, {hidden} hidden ones, and others that are drawn.", "")


def _range(axis: Axis) -> str:
    return f"{axis.low} and up" if axis.high is None else f"{axis.low} to {axis.high}"


def _bench(task: Task, costs: Sequence[WorkloadCost]) -> Iterator[str]:
    """List the sizes at which kernels are timed, each with its floor on every card."""
    known = {cost.workload: cost for cost in costs}
    timed = [workload for workload in task.workloads_for(Purpose.BENCH) if workload.name in known]
    if not timed:
        return
    yield from ("## Timed at", "")
    rows: list[tuple[str, ...]] = [
        (
            f"`{workload.name.removeprefix('bench:')}`",
            f"{workload.weight:g}",
            workload.source,
            _amount(known[workload.name].nbytes, "B"),
            _amount(known[workload.name].flops, ""),
        )
        for workload in timed
    ]
    yield from _table(("sizes", "weight", "from", "least traffic", "operations"), rows)
    yield from ("Least times, µs: below the floor no kernel can be; the roofline is the usual yardstick.", "")
    devices = [time.device for time in known[timed[0].name].times]
    rows = [
        (
            f"`{workload.name.removeprefix('bench:')}`",
            *(f"{time.floor_us:.2f} / {time.roofline_us:.2f}" for time in known[workload.name].times),
        )
        for workload in timed
    ]
    yield from _table(("sizes", *(f"{device}: floor / roofline" for device in devices)), rows)


def _judged(task: Task) -> Iterator[str]:
    if task.tolerance is not None:
        bound = f"{task.tolerance.atol:g} + {task.tolerance.rtol:g} |oracle|"
        yield from (f"An element may be off by {bound}; the task states this.", "")
    for stated in task.properties:
        yield from (f"Output {stated.output} is judged by `{stated.kind}`, that it {stated}: {stated.reason}", "")


def _origin(task: Task) -> Iterator[str]:
    yield from ("## Reference", "", "```python", task.source.rstrip(), "```", "")
    url = f", {task.provenance.url}" if task.provenance.url else ""
    yield f"From: {task.provenance.origin}{url}. Licence: {task.provenance.licence}."


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heading)} |"
    yield f"|{' --- |' * len(heading)}"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"
    yield ""


def _cell(text: str) -> str:
    """Return a text that cannot end its cell."""
    return " ".join(text.split()).replace("|", r"\|")


def _amount(count: float, unit: str) -> str:
    """Return a count with three digits and a decimal prefix: `134 MB`."""
    for prefix in ("", "k", "M", "G"):
        if count < _THOUSAND:
            return f"{count:.3g} {prefix}{unit}".strip()
        count /= _THOUSAND
    return f"{count:,.3g} T{unit}"
