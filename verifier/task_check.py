"""Checks a task itself: that its reference does what the manifest says, and that a verdict on it would mean something.

A kernel is only as good as the task that it passed. Published benchmarks hold tasks that are random, that zeros pass,
and whose inputs change nothing; each check below is there for one of these. It uses what `verify` uses: the same
draws, oracle, tolerance and controls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from itertools import cycle
from typing import Protocol

import numpy as np

from sandbox.values import Tensor
from tasks.constants import is_dimension
from tasks.errors import UserError
from tasks.values import Direction, InputSpec, Precision, Purpose, Role, Task, Value, Visibility, Workload
from verifier.controls import ControlLedger
from verifier.cost import Outliner, WorkloadCost, task_costs
from verifier.draws import Draw, Values, draw_values, prepare
from verifier.inputs import FULL_SET, Distribution, draw_tensor
from verifier.laboratory import ReferenceRunner
from verifier.shapes import generated_workloads
from verifier.tensors import storage
from verifier.tolerance import Unsuitable, compare
from verifier.verification import plan

_SEED = 20
"""Of every check: a task is not a candidate, from which values must be kept secret."""

_MOST_TRIED = 4
"""Draws on which a tensor is changed before it is said not to matter."""


class TaskCheck(StrEnum):
    """What is checked, in this order."""

    TENSORS = "tensors"
    """The reference has the tensors that the task says, at the sizes that it says."""
    DETERMINISTIC = "deterministic"
    """It gives the same twice, whatever the random number generator does."""
    VALUES = "values"
    """It runs on legal values in all precisions, and comes out comparable at every workload."""
    VARIED = "varied"
    """No output is the same number everywhere."""
    INPUTS = "inputs"
    """Each tensor that a kernel receives changes the result beyond the tolerance."""
    CONTROLS = "controls"
    """Zeros, the mean, an input, stale and shifted results fail."""
    SIZES = "sizes"
    """The reference takes sizes that nobody wrote down."""
    COST = "cost"
    """Bytes and operations are known at every workload."""


class Finding(Value):
    """What one check of a task found."""

    check: TaskCheck
    """Which one."""
    passed: bool
    """Whether it held."""
    detail: str
    """What was seen."""
    remedy: str = ""
    """What to do about it; empty where it held."""


class TaskReport(Value):
    """What all checks of one task found."""

    slug: str
    """The task."""
    passed: bool
    """Whether every check held."""
    findings: tuple[Finding, ...]
    """In the order of `TaskCheck`; a reference that does not run ends them early."""
    costs: tuple[WorkloadCost, ...]
    """Of every workload; empty where they could not be told."""
    seconds: float
    """Wall time."""


class CheckedReference(ReferenceRunner, Outliner, Protocol):
    """What a check asks of a reference beyond what a verdict does."""

    def is_random(self, workload: Workload, tensors: Mapping[str, Tensor]) -> bool:
        """Tell whether two runs differ when the random number generator starts elsewhere."""


def check_task(task: Task, reference: CheckedReference) -> TaskReport:
    """Check one task through its opened reference.

    Raises
    ------
    InfraError
        The machine is at fault.
    """
    start = time.perf_counter()
    inspection = _Inspection(task, reference)
    findings = tuple(inspection.findings())
    return TaskReport(
        slug=task.slug,
        passed=all(finding.passed for finding in findings),
        findings=findings,
        costs=inspection.costs,
        seconds=round(time.perf_counter() - start, 3),
    )


class _FaultError(Exception):
    """A check failed in the way that its text says."""

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy


def _found(check: TaskCheck, carried_out: Callable[[], str]) -> Finding:
    try:
        return Finding(check=check, passed=True, detail=carried_out())
    except _FaultError as fault:
        return Finding(check=check, passed=False, detail=fault.detail, remedy=fault.remedy)
    except UserError as error:
        return Finding(check=check, passed=False, detail=str(error), remedy="mend the reference, or narrow its domains")


class _Inspection:
    """One task, checked once."""

    def __init__(self, task: Task, reference: CheckedReference) -> None:
        self._task = task
        self._reference = reference
        self._draws: list[Draw] = []
        self._ledger = ControlLedger(lower_matters=task.tolerance is None and not task.properties)
        self.costs: tuple[WorkloadCost, ...] = ()

    def findings(self) -> Iterator[Finding]:
        """Yield what each check finds; the later ones rest on a reference that runs."""
        for check, carried_out in (
            (TaskCheck.TENSORS, self._tensors),
            (TaskCheck.DETERMINISTIC, self._deterministic),
            (TaskCheck.VALUES, self._values),
            (TaskCheck.VARIED, self._varied),
            (TaskCheck.INPUTS, self._inputs),
            (TaskCheck.CONTROLS, self._controls),
            (TaskCheck.SIZES, self._sizes),
            (TaskCheck.COST, self._cost),
        ):
            finding = _found(check, carried_out)
            yield finding
            if check is TaskCheck.VALUES and not finding.passed:
                return

    def _tensors(self) -> str:
        for workload in self._task.workloads:
            self._compare_specs(workload, self._reference.outline(workload).tensors)
        return f"as the reference states them at {len(self._task.workloads)} workloads"

    def _compare_specs(self, workload: Workload, stated: tuple[InputSpec, ...]) -> None:
        """Hold the task's tensors to the reference's; buffers may be left out, sizes may be a caller's to choose."""
        theirs = {spec.name: spec for spec in stated}
        remedy = "state the reference's tensors as they are, in the order inputs, parameters, buffers"
        for spec in workload.inputs:
            if spec.name not in theirs:
                raise _FaultError(f"the reference has no tensor '{spec.name}' (it has: {', '.join(theirs)})", remedy)
            other = theirs[spec.name]
            if (spec.dtype, spec.role) != (other.dtype, other.role):
                said = f"the task says that '{spec.name}' is a {spec.role} of {spec.dtype}"
                raise _FaultError(f"{said}, the reference makes it a {other.role} of {other.dtype}", remedy)
            free = any(is_dimension(axis, self._task.source) for axis in workload.axes) and spec.role is Role.INPUT
            if spec.shape != other.shape and not free:
                said = f"at {workload.name} '{spec.name}' is {list(spec.shape)} by the task"
                raise _FaultError(f"{said} and {list(other.shape)} by the reference", remedy)
        mine = [spec.name for spec in workload.inputs]
        needed = [spec.name for spec in stated if spec.role is not Role.BUFFER or spec.name in mine]
        if mine != needed:
            raise _FaultError(f"the task lists {', '.join(mine)}; the reference takes {', '.join(needed)}", remedy)

    def _values(self) -> str:
        left_out = 0
        for workload, distributions in self._plan():
            suitable = 0
            for distribution in distributions:
                draw = self._prepared(workload, distribution)
                if isinstance(draw, Unsuitable):
                    left_out, reason = left_out + 1, draw.reason
                    continue
                suitable += 1
                self._ledger.observe(draw.arguments, draw.native, draw.lower, draw.expectations)
                self._draws.append(replace(draw, lower=()))
            if not suitable:
                raise _FaultError(
                    f"at {workload.name} no kind of input gives a result to compare with: {reason}",
                    "narrow the domains to values on which the op is well conditioned, or state a property instead",
                )
        return f"{len(self._draws)} draws, {left_out} left out as ill conditioned"

    def _plan(self) -> Iterator[tuple[Workload, tuple[Distribution, ...]]]:
        """Yield the workloads with fewer kinds of input than a verdict has: every kind once, two each for the rest."""
        others = cycle(FULL_SET[1:])
        for workload, distributions in plan(self._task):
            full = distributions is FULL_SET
            yield workload, FULL_SET if full else (Distribution.NORMAL, next(others))

    def _prepared(self, workload: Workload, distribution: Distribution) -> Draw | Unsuitable:
        try:
            draw = prepare(self._reference, self._task, workload, distribution, _SEED)
            if distribution is Distribution.LARGE and (isinstance(draw, Unsuitable) or not draw.all_finite):
                return prepare(self._reference, self._task, workload, Distribution.WIDE, _SEED)
        except UserError as error:
            raise UserError(f"at {workload.name}, inputs '{distribution}': {error}") from error
        return draw

    def _deterministic(self) -> str:
        workload = plan(self._task)[0][0]
        values = self._drawn(workload)
        if self._reference.is_random(workload, values.tensors):
            raise _FaultError(
                "two runs on the same tensors differ when the random number generator starts elsewhere",
                "pass the random numbers (a mask, noise) as an input",
            )
        return "two runs give the same"

    def _varied(self) -> str:
        for number in range(len(self._draws[0].native)):
            seen = [storage(draw.native[number]) for draw in self._draws]
            many = [array for array in seen if array.size > 1]
            if many and all((array == array.reshape(-1)[0]).all() for array in many):
                raise _FaultError(
                    f"all elements of output {number} are the same number, on each of {len(many)} draws",
                    "return that number once, or give inputs on which the result varies",
                )
            scalars = [array.reshape(-1)[0] for array in seen if array.size == 1]
            if len(scalars) > 1 and not many and len(np.unique(scalars)) == 1:
                raise _FaultError(
                    f"output {number} is the same number on each of {len(scalars)} draws",
                    "give inputs on which the result varies",
                )
        return f"{len(self._draws[0].native)} outputs vary"

    def _inputs(self) -> str:
        """Change one tensor at a time; a kernel that ignored it must fail on some draw."""
        tried = [draw for draw in self._draws if draw.distribution is Distribution.NORMAL][:_MOST_TRIED]
        idle = [name for name in self._received(tried[0]) if not any(self._matters(draw, name) for draw in tried)]
        if idle:
            names = ", ".join(f"'{name}'" for name in idle)
            raise _FaultError(
                f"other values of {names} leave the result within the tolerance on {len(tried)} draws",
                "leave out what the op does not read, or give values, sizes or a tolerance at which it shows",
            )
        return f"each of {len(self._received(tried[0]))} tensors changes the result"

    def _received(self, draw: Draw) -> list[str]:
        """Return the tensors that a candidate receives and that can be changed alone; '' is the output gradients."""
        names = [spec.name for spec in draw.workload.inputs]
        if self._task.direction is Direction.FORWARD:
            return names
        return ["", *(name for name in self._task.saved if name in names)]

    def _matters(self, draw: Draw, name: str) -> bool:
        """Tell whether another draw of one tensor leaves the tolerance; one that has no other values matters too."""
        values = self._drawn(draw.workload)
        if name:
            spec = next(spec for spec in draw.workload.inputs if spec.name == name)
            other = draw_tensor(spec, Distribution.NORMAL, _SEED + 1, draw.workload.name)
            if other == values.tensors[name]:
                return True
            values.tensors[name] = other
        else:
            values = Values(values.tensors, self._drawn(draw.workload, _SEED + 1).gradients)
        made = self._reference.run(draw.workload, values.tensors, Precision.NATIVE, values.gradients).outputs
        pairs = zip(made, draw.expectations, strict=True)
        return not all(compare(output, expected, made).passed for output, expected in pairs)

    def _drawn(self, workload: Workload, seed: int = _SEED) -> Values:
        return draw_values(self._reference, self._task, workload, Distribution.NORMAL, seed)

    def _controls(self) -> str:
        if self._ledger.undetected:
            names = ", ".join(f"'{control}'" for control in self._ledger.undetected)
            raise _FaultError(
                f"{names} would pass on every draw",
                "give inputs and sizes on which the result varies, or a tighter tolerance or property",
            )
        return self._ledger.settle(self._task.slug)

    def _sizes(self) -> str:
        made = generated_workloads(self._task, _SEED)
        hidden = self._task.workloads_for(Purpose.VERIFY, Visibility.HIDDEN)
        if not hidden:
            raise _FaultError("every workload is public", "mark some of the workloads `visibility = 'hidden'`")
        refused = []
        for workload in made:
            try:
                prepare(self._reference, self._task, workload, Distribution.NORMAL, _SEED)
            except UserError as error:
                refused.append(f"{workload.name} ({error})")
        if refused and self._task.tensors and len(refused) == len(made):
            raise _FaultError(
                f"the reference refuses all generated sizes, as {refused[0]}",
                "state the ranges of the axes and `constraints` between them",
            )
        return f"{len(made) - len(refused)} of {len(made)} generated sizes run; {len(hidden)} hidden workloads"

    def _cost(self) -> str:
        if not self._task.workloads_for(Purpose.BENCH):
            raise _FaultError("there is no bench workload", "add sizes of a real model with `purpose = 'bench'`")
        self.costs = task_costs(self._task, self._reference)
        free = next((cost for cost in self.costs if not cost.nbytes), None)
        if free is not None:
            raise _FaultError(f"at {free.workload} nothing is read or written", "let the op compute something")
        bench = max((cost for cost in self.costs if cost.purpose is Purpose.BENCH), key=lambda cost: cost.nbytes)
        return f"{bench.nbytes:,} bytes and {bench.flops:,} operations at {bench.workload}"
