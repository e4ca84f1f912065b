"""What must hold of one call: how it ended, the outputs' form, untouched arguments, work on the device, values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from sandbox.evidence import HostOpKind
from sandbox.values import Execution, ExitState, Launch, Tensor
from tasks.values import Role, Task, Visibility
from verifier.draws import Draw
from verifier.tensors import same_bits, to_float64
from verifier.tolerance import compare
from verifier.values import Check, Status

STATUS_OF_STATE: Final = {
    ExitState.COMPILE_ERROR: Status.COMPILE_ERROR,
    ExitState.LAUNCH_ERROR: Status.LAUNCH_ERROR,
    ExitState.MEMORY_ERROR: Status.MEMORY_ERROR,
    ExitState.UNSUPPORTED: Status.UNSUPPORTED,
    ExitState.TIMEOUT: Status.TIMEOUT,
    ExitState.OUT_OF_MEMORY: Status.OUT_OF_MEMORY,
    ExitState.CRASHED: Status.CRASHED,
    ExitState.UNFINISHED: Status.DATA_RACE,
}
"""What a call that did not end well makes of the verdict."""

_ATOMIC_BYTES: Final = 8
"""The widest common atomic; the counters know lanes, not widths."""

_DEVICE_SHARE: Final = 0.5
"""Share of the non-zero output bytes that kernels must have written; a `cudaMemcpy` may bring the rest."""


def judge(draw: Draw, execution: Execution, kernels: frozenset[str]) -> Iterator[Check]:
    """Yield the checks of one call, cheapest first; the caller stops at the first that failed.

    Parameters
    ----------
    draw
        What the candidate was called with, and what it must return.
    execution
        What came of it, `arguments_after` included.
    kernels
        Names of the kernels in the candidate's build; None on a device that does not tell what was launched.
    """
    yield ended(draw, execution)
    yield _form(draw, execution)
    yield _arguments_untouched(draw, execution)
    yield _launched(draw, execution, kernels)
    if execution.host_ops:
        yield _host_code(draw, execution)
    yield values(draw, execution)
    yield _stored(draw, execution, kernels)


def until_failed(found: Iterable[Check]) -> list[Check]:
    """Take checks up to and including the first that failed; later ones may rest on it."""
    taken = []
    for one in found:
        taken.append(one)
        if not one.passed:
            break
    return taken


def check(draw: Draw, name: str, failure: Status | None, detail: str, outputs: Sequence[Tensor] = ()) -> Check:
    """Return a check of one draw; `failure` None means that it held. Of `outputs` it keeps the hashes."""
    return Check(
        name=name,
        workload=draw.workload.name,
        passed=failure is None,
        status=failure,
        detail=detail,
        public=draw.workload.visibility is Visibility.PUBLIC,
        outputs=tuple(hashlib.sha256(tensor.data).hexdigest() for tensor in outputs),
    )


def gradients_asked_for(task: Task) -> Check:
    """Say which gradients a backward task asks for, and which of its inputs and parameters it leaves out."""
    differentiable = [one for one in task.workloads[0].inputs if one.dtype.is_floating and one.role is not Role.BUFFER]
    left = [one.name for one in differentiable if one.name not in task.gradients]
    rest = f"the task leaves out {', '.join(left)}" if left else "every input and parameter"
    return Check(name="gradients", passed=True, detail=f"of {', '.join(task.gradients)}: {rest}")


def ended(draw: Draw, execution: Execution) -> Check:
    """Whether the call came back."""
    name = f"run[{draw.distribution}]"
    if execution.state is ExitState.OK:
        return check(draw, name, None, "ended by itself")
    status = STATUS_OF_STATE[execution.state]
    if any("race" in diagnostic.kind for diagnostic in execution.diagnostics):
        status = Status.DATA_RACE
    return check(draw, name, status, execution.message)


def _form(draw: Draw, execution: Execution) -> Check:
    """Check number, element types and sizes of the outputs, all strict: `(1,)` is not `()`."""
    expected, got = draw.native, execution.outputs
    if len(got) != len(expected):
        detail = f"the op returns {len(expected)} tensors, the candidate {len(got)}"
        return check(draw, "outputs", Status.WRONG_SHAPE, detail)
    for number, (right, made) in enumerate(zip(expected, got, strict=True)):
        if made.dtype is not right.dtype:
            detail = f"output {number} is {made.dtype}, not {right.dtype}"
            return check(draw, "outputs", Status.WRONG_DTYPE, detail)
        if made.shape != right.shape:
            detail = f"output {number} has shape {made.shape}, not {right.shape}"
            return check(draw, "outputs", Status.WRONG_SHAPE, detail)
    return check(draw, "outputs", None, ", ".join(f"{tensor.dtype}{list(tensor.shape)}" for tensor in got))


def _arguments_untouched(draw: Draw, execution: Execution) -> Check:
    if len(execution.arguments_after) != len(draw.arguments):
        detail = f"{len(execution.arguments_after)} of {len(draw.arguments)} arguments came back"
        return check(draw, "arguments", Status.MUTATED_INPUT, detail)
    pairs = zip(draw.arguments, execution.arguments_after, strict=True)
    changed = [number for number, (before, after) in enumerate(pairs) if not same_bits(before, after)]
    if changed:
        detail = f"argument {changed[0]} was changed by the call"
        return check(draw, "arguments", Status.MUTATED_INPUT, detail)
    return check(draw, "arguments", None, "bit for bit as before")


def _launched(draw: Draw, execution: Execution, kernels: frozenset[str]) -> Check:
    """Check that at least one of the candidate's own kernels ran."""
    if not any(tensor.data for tensor in draw.native):
        return check(draw, "launches", None, "nothing to compute: the outputs are empty")
    if not execution.watched:
        return check(draw, "launches", None, "not observed: this machine's driver does not tell what was launched")
    own = _own(execution, kernels)
    if not own:
        detail = "no kernel of the candidate was launched, so something else made the outputs"
        return check(draw, "launches", Status.CHEATING, detail)
    return check(draw, "launches", None, f"{len(own)}: " + ", ".join(dict.fromkeys(launch.kernel for launch in own)))


def _host_code(draw: Draw, execution: Execution) -> Check:
    """Check that PyTorch computed nothing in the candidate's Python: that would be work that no kernel did."""
    foreign = [op for op in execution.host_ops if op.kind is not HostOpKind.MOVEMENT]
    if not foreign:
        moved = sum(op.nbytes for op in execution.host_ops)
        return check(draw, "host code", None, f"PyTorch copied {moved} bytes and computed nothing")
    first = foreign[0]
    place = f" (line {first.line})" if first.line else ""
    did = "computed" if first.kind is HostOpKind.COMPUTE else "brought a tensor to the host by"
    detail = f"PyTorch {did} `{first.name}`{place}, so the work is not the candidate's own kernel's"
    return check(draw, "host code", Status.CHEATING, detail)


def _stored(draw: Draw, execution: Execution, kernels: frozenset[str]) -> Check:
    """Check that the kernels wrote the outputs, whose values are already known to be right.

    A kernel that wrote too little and gave wrong values is merely wrong; right values need an author.
    """
    written = _written_bytes(_own(execution, kernels))
    if written is None or not execution.watched:
        return check(draw, "stores", None, "not counted")
    needed = sum(_non_zero_bytes(tensor) for tensor in draw.native)
    detail = f"the kernels wrote {written:.0f} bytes, the outputs hold {needed} that are not zero"
    return check(draw, "stores", Status.CHEATING if written < _DEVICE_SHARE * needed else None, detail)


def _own(execution: Execution, kernels: frozenset[str]) -> list[Launch]:
    own = kernels | {kernel.kernel for kernel in execution.kernels}
    return [launch for launch in execution.launches if launch.kernel in own]


def _written_bytes(launches: list[Launch]) -> float | None:
    """Bytes that the launches stored to global memory, None where nobody counted."""
    if not all("global_store_bytes" in launch.counters for launch in launches):
        return None
    return sum(
        launch.counters["global_store_bytes"] + _ATOMIC_BYTES * launch.counters.get("atomic_lanes", 0.0)
        for launch in launches
    )


def _non_zero_bytes(tensor: Tensor) -> int:
    return int(np.count_nonzero(to_float64(tensor))) * tensor.dtype.itemsize


def values(draw: Draw, execution: Execution) -> Check:
    """Every output against the oracle."""
    name = f"values[{draw.distribution}]"
    details = []
    for number, (made, expected) in enumerate(zip(execution.outputs, draw.expectations, strict=True)):
        comparison = compare(made, expected, execution.outputs)
        prefix = f"output {number}: " if len(draw.expectations) > 1 else ""
        if not comparison.passed:
            return check(draw, name, Status.WRONG_VALUES, prefix + comparison.detail, execution.outputs)
        details.append(prefix + comparison.detail)
    return check(draw, name, None, "; ".join(details), execution.outputs)
