"""The manifest of a task: everything about it but the reference source, as a TOML file beside it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NoReturn

from pydantic import Field, ValidationError

from tasks.constants import DIMENSION_AXIS, module_constants, module_literals
from tasks.errors import UserError
from tasks.expressions import ExpressionError, holds
from tasks.inference import slug_of, workload_name
from tasks.values import (
    Axis,
    Direction,
    Family,
    HyperParameter,
    InputSpec,
    OutputProperty,
    Provenance,
    Purpose,
    ReferenceForm,
    Size,
    Task,
    TensorEntry,
    Tolerance,
    Value,
    Visibility,
    Workload,
)


class AxisRange(Value):
    """`[axes.NAME]`: the legal sizes of one axis, a constant of the reference source or a dimension, `x_dim0`."""

    default: int | None = None
    """Size in the source; read off the constant, so only a dimension states it."""

    low: int = Field(default=1, ge=0)
    """Smallest legal size; with 0, kernels must take empty tensors."""
    high: int | None = None
    """Largest legal size; unbounded when left out."""


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
    shapes: dict[str, tuple[int, ...]] = {}
    """Sizes, by name, of tensors for which no expression over the axes holds at all workloads."""
    highs: dict[str, int] = {}
    """Upper bounds, by name, for which likewise none holds."""


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
    axes: dict[str, AxisRange] = {}
    """Axes by name; none where every size is part of the op."""
    constraints: tuple[str, ...] = ()
    """Relations between axes that legal sizes fulfil, as `"heads % kv_heads == 0"` or `"window <= length"`."""
    hyperparameters: dict[str, str] = {}
    """Module-level constants of the reference that are part of the op, each with its meaning; shown, never varied."""
    tensors: tuple[TensorEntry, ...]
    """The reference's tensors."""
    workloads: tuple[WorkloadEntry, ...]
    """Sizes to verify and to time at."""
    tolerance: ToleranceOverride | None = None
    """Override of the calibrated tolerance."""
    properties: tuple[OutputProperty, ...] = ()
    """What outputs must satisfy instead of being compared with the oracle, where several answers are right."""
    flops: Size | None = None
    """Floating-point operations over the axes, where counting eager PyTorch's operators does not tell (sparse ops)."""
    family: Family = Family.OTHER
    """Place in the catalogue: `pointwise`, `reduction`, `norm`, `softmax`, `matmul`, `convolution`, `attention`,
    `experts`, `kan`, `sparse`, `clustering`, `quantization`, `graph`, `embedding`, `optimizer`, `random` or `other`."""
    formula: str = ""
    """What it computes, as plain text or LaTeX."""
    why: str = ""
    """Why it is worth a kernel of its own."""
    provenance: Provenance
    """`origin`, SPDX `licence`, and `url`."""


SECTIONS: tuple[type[Value], ...] = (
    Manifest,
    AxisRange,
    TensorEntry,
    WorkloadEntry,
    ToleranceOverride,
    OutputProperty,
    Provenance,
)
"""The tables of the file, in the order in which the documentation shows them."""


def read_manifest_task(source_path: Path) -> Task:
    """Build the task of `NAME.py` and the `NAME.toml` beside it, without executing the reference.

    Raises
    ------
    UserError
        The manifest is not valid, or does not agree with itself or with the source's constants.
    """
    manifest_path = source_path.with_suffix(".toml")
    try:
        manifest = Manifest.model_validate(tomllib.loads(manifest_path.read_text(encoding="utf-8")))
        return _Reading(source_path.stem, source_path.read_text(encoding="utf-8"), manifest).task()
    except FileNotFoundError as error:
        raise UserError(f"the task '{source_path.stem}' lacks its file {Path(error.filename).name}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the task '{source_path.stem}' cannot be read: {error}") from error
    except ValidationError as error:
        raise UserError(f"{manifest_path.name} is not a valid task manifest: {_first_fault(error)}") from error
    except (tomllib.TOMLDecodeError, ExpressionError) as error:
        raise UserError(f"{manifest_path.name} is not a valid task manifest: {error}") from error


def _first_fault(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]


class _Reading:
    """One manifest against its source."""

    def __init__(self, slug: str, source: str, manifest: Manifest) -> None:
        self._slug = slug
        self._source = source
        self._manifest = manifest

    def task(self) -> Task:
        manifest, override = self._manifest, self._manifest.tolerance
        ruled = not any(entry.shapes or entry.highs for entry in manifest.workloads)
        self._check_names()
        return Task(
            slug=slug_of(self._slug),
            title=manifest.title,
            source=self._source,
            form=manifest.form,
            entry=manifest.entry,
            direction=manifest.direction,
            axes=self._axes(),
            workloads=tuple(self._workload(entry) for entry in manifest.workloads),
            tensors=manifest.tensors if ruled else (),
            saved=manifest.saved,
            gradients=manifest.gradients,
            tolerance=None if override is None else Tolerance(atol=override.atol, rtol=override.rtol),
            properties=manifest.properties,
            constraints=manifest.constraints,
            hyperparameters=self._hyperparameters(),
            flops=manifest.flops,
            family=manifest.family,
            formula=manifest.formula,
            why=manifest.why,
            provenance=manifest.provenance,
        )

    def _axes(self) -> tuple[Axis, ...]:
        constants = module_constants(self._source)
        stated = {name for name, legal in self._manifest.axes.items() if legal.default is not None}
        inputs = {tensor.name for tensor in self._manifest.tensors}
        dimensions = {name for name in stated if (m := DIMENSION_AXIS.fullmatch(name)) and m["input"] in inputs}
        twice = sorted(stated & constants.keys())
        unknown = sorted(self._manifest.axes.keys() - constants.keys() - dimensions)
        if twice:
            self._refuse(f"'default' of axis '{twice[0]}' is the constant in {self._slug}.py: leave it out")
        if unknown:
            self._refuse(
                f"names axes that are no constants of {self._slug}.py: {', '.join(unknown)}; an axis that is a "
                "dimension of an input is called INPUT_dimN and states its 'default'"
            )
        return tuple(
            Axis(name=name, default=legal.default or constants[name], low=legal.low, high=legal.high)
            for name, legal in self._manifest.axes.items()
        )

    def _hyperparameters(self) -> tuple[HyperParameter, ...]:
        literals = module_literals(self._source)
        for name in self._manifest.hyperparameters:
            if name not in literals or name in self._manifest.axes:
                self._refuse(f"the hyper-parameter '{name}' is no module-level constant of {self._slug}.py, or an axis")
        return tuple(
            HyperParameter(name=name, value=literals[name], meaning=meaning)
            for name, meaning in self._manifest.hyperparameters.items()
        )

    def _check_names(self) -> None:
        names = [tensor.name for tensor in self._manifest.tensors]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            self._refuse(f"two tensors are called '{twice}'")
        for stated in self._manifest.properties:
            if stated.of is not None and stated.of not in names:
                self._refuse(f"a property is 'of' the tensor '{stated.of}', which there is not")
        backward = self._manifest.direction is Direction.BACKWARD
        if backward != bool(self._manifest.gradients) or (self._manifest.saved and not backward):
            self._refuse("a backward task lists its 'gradients', and only it has 'gradients' and 'saved'")
        for name in self._manifest.gradients:
            if name not in names:
                self._refuse(f"asks for the gradient of '{name}', which is no tensor of it")

    def _workload(self, entry: WorkloadEntry) -> Workload:
        name = workload_name(entry.axes)
        self._check_sizes(name, entry)
        return Workload(
            name=f"bench:{name}" if entry.purpose is Purpose.BENCH else name,
            axes=entry.axes,
            inputs=self._inputs(name, entry),
            visibility=entry.visibility,
            purpose=entry.purpose,
            weight=entry.weight,
            source=entry.source,
        )

    def _check_sizes(self, name: str, entry: WorkloadEntry) -> None:
        axes = self._manifest.axes
        if entry.axes.keys() != axes.keys():
            self._refuse(f"the workload '{name}' must state a size for each of {', '.join(axes)}")
        for axis, size in entry.axes.items():
            if size < axes[axis].low or size > (axes[axis].high or size):
                self._refuse(f"the workload '{name}' lies outside the range of '{axis}'")
        broken = next((one for one in self._manifest.constraints if not holds(one, entry.axes)), None)
        if broken is not None:
            self._refuse(f"the workload '{name}' breaks the constraint '{broken}'")
        if entry.purpose is Purpose.BENCH and not entry.source:
            self._refuse(f"the bench workload '{name}' must name the source of its sizes")

    def _inputs(self, name: str, entry: WorkloadEntry) -> tuple[InputSpec, ...]:
        known = {tensor.name for tensor in self._manifest.tensors}
        unknown = sorted((entry.shapes.keys() | entry.highs.keys()) - known)
        if unknown:
            self._refuse(f"the workload '{name}' gives sizes or bounds of '{unknown[0]}', which is no tensor")
        try:
            return tuple(
                tensor.model_copy(
                    update={
                        "shape": entry.shapes.get(tensor.name, tensor.shape),
                        "high": entry.highs.get(tensor.name, tensor.high),
                    }
                ).spec(entry.axes)
                for tensor in self._manifest.tensors
            )
        except ValidationError as error:
            self._refuse(f"the workload '{name}': {_first_fault(error)}")

    def _refuse(self, fault: str) -> NoReturn:
        raise UserError(f"{self._slug}.toml: {fault}")
