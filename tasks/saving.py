"""Writes a task as the two files that a person can edit: the reference, and the manifest beside it."""

from __future__ import annotations

from pathlib import Path

import tomlkit

from tasks.constants import module_constants
from tasks.errors import UserError
from tasks.manifest import AxisRange, Manifest, ToleranceOverride, WorkloadEntry, read_manifest_task
from tasks.values import InputSpec, Purpose, Task, TensorEntry, Workload


def save_task(task: Task, folder: Path) -> Path:
    """Write `SLUG.py` and `SLUG.toml` into `folder`, which is made if need be; return the reference's path.

    The files are read back: what was written states the same reference and the same workloads.

    Raises
    ------
    UserError
        A file of that name is there already, or nothing can be written there.
    """
    source, manifest = folder / f"{task.slug}.py", folder / f"{task.slug}.toml"
    for path in (source, manifest):
        if path.exists():
            raise UserError(f"'{path}' exists already; remove it, or save to another folder")
    document = manifest_of(task).model_dump(mode="json", exclude_defaults=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        source.write_text(task.source, encoding="utf-8")
        manifest.write_text(tomlkit.dumps(document), encoding="utf-8")
    except OSError as error:
        raise UserError(f"the task cannot be saved to '{folder}': {error.strerror}") from error
    read_manifest_task(source)
    return source


def manifest_of(task: Task) -> Manifest:
    """Return the manifest that states everything of `task` but its reference source."""
    constants = module_constants(task.source)
    entries = task.tensors or tuple(map(_fixed_entry, task.workloads[0].inputs))
    return Manifest(
        title=task.title,
        form=task.form,
        entry=task.entry,
        direction=task.direction,
        saved=task.saved,
        gradients=task.gradients,
        axes={
            axis.name: AxisRange(
                default=None if axis.name in constants else axis.default,
                low=min([axis.low, *(w.axes[axis.name] for w in task.workloads)]),
                high=axis.high,
            )
            for axis in task.axes
        },
        constraints=task.constraints,
        hyperparameters={parameter.name: parameter.meaning for parameter in task.hyperparameters},
        tensors=entries,
        workloads=tuple(_workload_entry(workload, entries) for workload in task.workloads),
        tolerance=None
        if task.tolerance is None
        else ToleranceOverride(atol=task.tolerance.atol, rtol=task.tolerance.rtol, reason="stated with the task"),
        properties=task.properties,
        flops=task.flops,
        family=task.family,
        formula=task.formula,
        why=task.why,
        provenance=task.provenance,
    )


def _fixed_entry(spec: InputSpec) -> TensorEntry:
    """Return a tensor with the sizes of one workload; the others state theirs."""
    domain = spec.domain
    return TensorEntry(
        name=spec.name,
        shape=spec.shape,
        dtype=spec.dtype,
        role=spec.role,
        domain=domain.kind,
        low=domain.low,
        high=domain.high,
    )


def _workload_entry(workload: Workload, entries: tuple[TensorEntry, ...]) -> WorkloadEntry:
    ruled = {entry.name: entry.spec(workload.axes) for entry in entries}
    return WorkloadEntry(
        axes=workload.axes,
        purpose=workload.purpose,
        visibility=workload.visibility,
        weight=workload.weight,
        source=workload.source or ("stated with the task" if workload.purpose is Purpose.BENCH else ""),
        shapes={spec.name: spec.shape for spec in workload.inputs if spec.shape != ruled[spec.name].shape},
        highs={
            spec.name: int(spec.domain.high)
            for spec in workload.inputs
            if spec.domain.high is not None and spec.domain.high != ruled[spec.name].domain.high
        },
    )
