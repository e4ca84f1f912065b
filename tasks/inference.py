"""Makes a task of a user's reference source, from what a probe found out about it."""

from __future__ import annotations

import ast
import re

from tasks.constants import module_literals, parse_source
from tasks.size_rules import infer_tensors
from tasks.values import HyperParameter, ProbedSizes, ProbeResult, Purpose, Task, Visibility, Workload

MOST_ELEMENTS = 1 << 16
"""Largest tensor of a verification workload: small enough to run many times on a simulated device."""


def task_from_probe(name: str, source: str, probed: ProbeResult) -> Task:
    """Return the task that `source` states.

    Its verification workloads are the probe's smaller sizes, by turns public and hidden; its one benchmark workload has
    the sizes of the source.

    Parameters
    ----------
    name
        What the user calls it, for instance the file name without ending; the slug is made of it.
    """
    visibilities = (Visibility.PUBLIC, Visibility.HIDDEN)
    verify = [
        _workload(sizes, visibilities[position % 2], Purpose.VERIFY) for position, sizes in enumerate(probed.varied)
    ]
    if len(verify) == 1:
        verify.append(verify[0].model_copy(update={"name": "hidden", "visibility": Visibility.HIDDEN}))
    bench = _workload(probed.default, Visibility.PUBLIC, Purpose.BENCH)
    literals = module_literals(source)
    axes = {axis.name for axis in probed.axes}
    return Task(
        slug=slug_of(name),
        title=_title(source, probed.entry) or name,
        source=source,
        form=probed.form,
        entry=probed.entry,
        axes=probed.axes,
        tensors=infer_tensors([(sizes.axes, sizes.inputs) for sizes in (probed.default, *probed.varied)]) or (),
        hyperparameters=tuple(HyperParameter(name=n, value=v) for n, v in literals.items() if n not in axes),
        workloads=(*verify, bench.model_copy(update={"name": f"bench:{bench.name}", "source": "the file's own sizes"})),
    )


def slug_of(name: str) -> str:
    """Return `name` in the letters of a slug: `[a-z0-9_-]+`."""
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-") or "task"


def workload_name(axes: dict[str, int]) -> str:
    """Return the name of a workload after its sizes, `rows=7,cols=129`."""
    return ",".join(f"{name}={size}" for name, size in axes.items()) or "fixed"


def _workload(sizes: ProbedSizes, visibility: Visibility, purpose: Purpose) -> Workload:
    return Workload(
        name=workload_name(sizes.axes), axes=sizes.axes, inputs=sizes.inputs, visibility=visibility, purpose=purpose
    )


def _title(source: str, entry: str) -> str:
    """Return the first line of the docstring of the op, or of the file; empty when there is none."""
    tree = parse_source(source)
    defined = (node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == entry)
    docstrings = (ast.get_docstring(node) for node in (*defined, tree))
    return next((text.splitlines()[0].strip() for text in docstrings if text), "")
