"""The manifest of a library task: everything about it but the reference source, as a TOML file beside it."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import Field, ValidationError

from tasks.constants import module_constants
from tasks.errors import UserError
from tasks.expressions import ExpressionError, evaluate
from tasks.inference import workload_name
from tasks.values import (
    Axis,
    Direction,
    Domain,
    DomainKind,
    DType,
    InputSpec,
    Provenance,
    Purpose,
    ReferenceForm,
    Role,
    Task,
    Tolerance,
    Value,
    Visibility,
    Workload,
)

Size = int | str
"""A size: an integer, or arithmetic (`+ - * // % **`) over the axes, for instance `"2 * cols"`."""


class AxisRange(Value):
    """`[axes.NAME]`: the legal sizes of one axis. The default is the constant in the reference source."""

    low: int = Field(default=1, ge=1)
    """Smallest legal size."""
    high: int | None = None
    """Largest legal size; unbounded when left out."""


class TensorEntry(Value):
    """`[[tensors]]`: one tensor of the reference, in the order inputs, parameters, buffers."""

    name: str
    """Parameter name in `forward`, or the dotted name of a parameter or buffer."""
    shape: tuple[Size, ...]
    """Sizes over the axes."""
    dtype: DType = DType.FLOAT32
    """Element type."""
    role: Role = Role.INPUT
    """`input`, `parameter` or `buffer`."""
    domain: DomainKind = DomainKind.REAL
    """Legal values: `real`, `positive`, `probability`, `index`, `mask`."""
    high: Size | None = None
    """Exclusive upper bound over the axes; with `domain = "index"` only."""

    def spec(self, axes: dict[str, int]) -> InputSpec:
        """Return the tensor at concrete sizes."""
        high = None if self.high is None else evaluate(self.high, axes)
        return InputSpec(
            name=self.name,
            shape=tuple(evaluate(size, axes) for size in self.shape),
            dtype=self.dtype,
            domain=Domain(kind=self.domain, high=high),
            role=self.role,
        )


class WorkloadEntry(Value):
    """`[[workloads]]`: one set of sizes."""

    axes: dict[str, int]
    """A size for every axis."""
    purpose: Purpose = Purpose.VERIFY
    """`verify` or `bench`."""
    visibility: Visibility = Visibility.PUBLIC
    """`public`, or `hidden` from proposers."""
    weight: float = Field(default=1.0, gt=0)
    """Share in a benchmark's summary."""
    source: str = ""
    """Where the sizes come from; required with `purpose = "bench"`."""


class ToleranceOverride(Value):
    """`[tolerance]`: bounds instead of the calibrated ones."""

    atol: float = Field(ge=0)
    """Absolute part."""
    rtol: float = Field(ge=0)
    """Relative part."""
    reason: str = Field(min_length=1)
    """Why calibration does not do."""


class Manifest(Value):
    """The whole file."""

    title: str
    """One line in plain words."""
    form: ReferenceForm = ReferenceForm.MODULE
    """`module` or `function`."""
    entry: str = "Model"
    """Class or function name."""
    direction: Direction = Direction.FORWARD
    """`forward` or `backward`."""
    saved: tuple[str, ...] = ()
    """Backward only: tensors given to the candidate after the output gradients; `output` is the forward's result."""
    gradients: tuple[str, ...] = ()
    """Backward only: what the candidate returns the gradients of, in this order."""
    axes: dict[str, AxisRange]
    """Axes by name, each a module-level integer constant of the reference source."""
    tensors: tuple[TensorEntry, ...]
    """The reference's tensors."""
    workloads: tuple[WorkloadEntry, ...]
    """Sizes to verify and to time at."""
    tolerance: ToleranceOverride | None = None
    """Override of the calibrated tolerance."""
    provenance: Provenance
    """`origin` and SPDX `licence`."""


SECTIONS: tuple[type[Value], ...] = (Manifest, AxisRange, TensorEntry, WorkloadEntry, ToleranceOverride, Provenance)
"""The tables of the file, in the order in which the documentation shows them."""


def read_library_task(source_path: Path) -> Task:
    """Build the task of `NAME.py` and the `NAME.toml` beside it, without executing the reference.

    Raises
    ------
    UserError
        The manifest is not valid, or does not agree with itself or with the source's constants.
    """
    manifest_path = source_path.with_suffix(".toml")
    try:
        manifest = Manifest.model_validate(tomllib.loads(manifest_path.read_text(encoding="utf-8")))
        return _task(source_path.stem, source_path.read_text(encoding="utf-8"), manifest)
    except FileNotFoundError as error:
        raise UserError(f"the library task '{source_path.stem}' lacks its file {Path(error.filename).name}") from error
    except (tomllib.TOMLDecodeError, ValidationError, ExpressionError) as error:
        reason = "; ".join(str(error).splitlines()[:3])
        raise UserError(f"{manifest_path.name} is not a valid task manifest: {reason}") from error


def _task(slug: str, source: str, manifest: Manifest) -> Task:
    constants = module_constants(source)
    unknown = sorted(manifest.axes.keys() - constants.keys())
    if unknown:
        raise UserError(f"{slug}.toml names axes that are no constants of {slug}.py: {', '.join(unknown)}")
    override = manifest.tolerance
    return Task(
        slug=slug,
        title=manifest.title,
        source=source,
        form=manifest.form,
        entry=manifest.entry,
        direction=manifest.direction,
        axes=tuple(
            Axis(name=name, default=constants[name], low=legal.low, high=legal.high)
            for name, legal in manifest.axes.items()
        ),
        workloads=tuple(_workload(slug, entry, manifest) for entry in manifest.workloads),
        saved=manifest.saved,
        gradients=manifest.gradients,
        tolerance=None if override is None else Tolerance(atol=override.atol, rtol=override.rtol),
        provenance=manifest.provenance,
    )


def _workload(slug: str, entry: WorkloadEntry, manifest: Manifest) -> Workload:
    name = workload_name(entry.axes)
    if entry.axes.keys() != manifest.axes.keys():
        raise UserError(f"{slug}.toml: the workload '{name}' must state a size for each of {', '.join(manifest.axes)}")
    for axis, size in entry.axes.items():
        legal = manifest.axes[axis]
        if size < legal.low or (legal.high is not None and size > legal.high):
            raise UserError(f"{slug}.toml: the workload '{name}' lies outside the range of '{axis}'")
    if entry.purpose is Purpose.BENCH and not entry.source:
        raise UserError(f"{slug}.toml: the bench workload '{name}' must name the source of its sizes")
    return Workload(
        name=f"bench:{name}" if entry.purpose is Purpose.BENCH else name,
        axes=entry.axes,
        inputs=tuple(tensor.spec(entry.axes) for tensor in manifest.tensors),
        visibility=entry.visibility,
        purpose=entry.purpose,
        weight=entry.weight,
        source=entry.source,
    )
