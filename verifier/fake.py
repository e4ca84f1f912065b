"""A laboratory in memory: reference and kernel are Python functions, so judging is tested without compiler or device.

It keeps the sandbox's manners: values go in and out as tensors, the reference runs in the same precisions, the
kernel gets its own copies of the arguments, and faults come back as an `Execution`, never as an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sandbox.layouts import Layout, place
from sandbox.values import (
    Build,
    BuildError,
    Candidate,
    Device,
    DeviceKind,
    Execution,
    ExitState,
    KernelResources,
    Launch,
    Limits,
    ReferenceResult,
    Tensor,
)
from simgpu.specs import DeviceSpec, device_spec
from tasks.values import (
    CallItem,
    Construction,
    Direction,
    Domain,
    DType,
    EagerOp,
    Outline,
    OutputShape,
    Precision,
    Role,
    Task,
    Workload,
)
from verifier.laboratory import CandidateRunner
from verifier.pairs import FORWARD
from verifier.tensors import Array, from_array, to_array, to_float64

Forward = Callable[[Mapping[str, Array]], tuple[Array, ...]]
"""The op on arrays by name; computes in the type of what it is given."""
Backward = Callable[[Mapping[str, Array], Sequence[Array]], tuple[Array, ...]]
"""The gradients, from the forward's tensors and the output gradients."""


class FakeFaultError(Exception):
    """Raised by a fake kernel to end its call in another state than `ok`."""

    def __init__(self, state: ExitState, message: str) -> None:
        super().__init__(message)
        self.state = state


@dataclass(frozen=True, slots=True)
class FakeCall:
    """What a fake kernel sees of one call."""

    arguments: Sequence[Array]
    """Copies that it may write to."""
    schedule_seed: int | None
    number: int
    """Calls before this one."""
    layouts: tuple[Layout, ...] = ()
    """How the arguments lie in memory; their strides are these layouts' too."""


Kernel = Callable[[FakeCall], Sequence[Array]]
_KERNEL = "fake_kernel"


class InMemoryLaboratory:
    """Runs Python functions in the place of sandboxed processes.

    Parameters
    ----------
    forward
        The reference.
    kernel
        The candidate.
    backward
        The reference's gradients, for backward tasks.
    forward_kernel
        The forward half of a backward task's candidate.
    build_error
        Raised by `build`, when given.
    launches
        What the device is said to have seen at each call.
    eager_ops
        What the reference is said to launch in eager mode.
    microseconds
        What `bench` reports.
    eager_microseconds
        What eager PyTorch is said to take on a GPU.
    watched
        Whether the device tells what was launched.
    """

    def __init__(
        self,
        forward: Forward,
        kernel: Kernel,
        *,
        backward: Backward | None = None,
        forward_kernel: Kernel | None = None,
        build_error: BuildError | None = None,
        launches: tuple[Launch, ...] | None = None,
        eager_ops: tuple[EagerOp, ...] = (),
        microseconds: tuple[float, ...] = (10.0,),
        eager_microseconds: tuple[float, ...] = (20.0,),
        watched: bool = True,
    ) -> None:
        self._forward = forward
        self._kernel = kernel
        self._backward = backward
        self._forward_kernel = forward_kernel
        self._build_error = build_error
        self._launches = launches
        self._eager_ops = eager_ops
        self._microseconds = microseconds
        self._eager_microseconds = eager_microseconds
        self._watched = watched

    def figures(self, device: Device) -> DeviceSpec:
        """Look a simulated card up; a GPU is taken for an H100."""
        return device_spec(device.model if device.kind is DeviceKind.SIM else "h100")

    def prepare(self, task: Task) -> None:
        """Start nothing: functions are there at once."""

    def build(self, candidate: Candidate, device: Device) -> Build:
        """Return a build that names one kernel, or raise the error that was asked for."""
        if self._build_error is not None:
            raise self._build_error
        return Build(
            candidate_hash=candidate.content_hash,
            language=candidate.language,
            entry=candidate.entry,
            arch=device.arch,
            folder=Path(),
            library=None,
            ptx="",
            toolchain="in memory",
            flags=(),
            log="",
            kernels=(KernelResources(kernel=_KERNEL, registers=32),),
            seconds=0.0,
            cached=False,
        )

    @contextmanager
    def candidate(self, build: Build, device: Device, limits: Limits | None) -> Iterator[CandidateRunner]:  # noqa: ARG002
        """Open the kernel that the build is of; a simulated device has no processes to limit."""
        half = self._forward_kernel if build.entry == FORWARD else None
        yield _FakeCandidate(half or self._kernel, self._launches, self._microseconds, watched=self._watched)

    def reference(self, task: Task, limits: Limits | None) -> AbstractContextManager[_FakeReference]:  # noqa: ARG002
        """Open the reference."""
        return nullcontext(_FakeReference(task, self._forward, self._backward, self._eager_ops))

    def eager(self, task: Task, device: Device, limits: Limits | None) -> AbstractContextManager[_FakeEager]:  # noqa: ARG002
        """Open eager PyTorch."""
        return nullcontext(_FakeEager(self._eager_microseconds))


class _FakeEager:
    def __init__(self, microseconds: tuple[float, ...]) -> None:
        self._microseconds = microseconds

    def time(
        self,
        workload: Workload,  # noqa: ARG002 - one figure serves every size
        tensors: Mapping[str, Tensor],  # noqa: ARG002 - likewise
        repeats: int,  # noqa: ARG002 - the figures are given
        output_gradients: Sequence[Tensor] = (),  # noqa: ARG002 - one figure serves both directions
    ) -> tuple[float, ...]:
        return self._microseconds


class _FakeReference:
    def __init__(self, task: Task, forward: Forward, backward: Backward | None, eager_ops: tuple[EagerOp, ...]) -> None:
        self._task = task
        self._forward = forward
        self._backward = backward
        self._eager_ops = eager_ops

    def run(
        self,
        workload: Workload,  # noqa: ARG002 - the functions read sizes off their arrays
        tensors: Mapping[str, Tensor],
        precision: Precision,
        output_gradients: Sequence[Tensor] = (),
    ) -> ReferenceResult:
        arrays = {name: _in_precision(tensor, precision) for name, tensor in tensors.items()}
        with np.errstate(all="ignore"):
            outputs = self._forward(arrays)
            if self._task.direction is Direction.FORWARD:
                return ReferenceResult(outputs=tuple(_result(array, precision) for array in outputs))
            native = self._forward({name: to_array(tensor) for name, tensor in tensors.items()})
            results = tuple(from_array(array, _dtype(array)) for array in native)
            if not output_gradients or self._backward is None:
                return ReferenceResult((), output_gradients=tuple((t.dtype, t.shape) for t in results))
            gradients = self._backward(arrays, [_in_precision(tensor, precision) for tensor in output_gradients])
        available = dict(tensors) | {"output": results[0]}
        return ReferenceResult(
            outputs=tuple(_result(array, precision) for array in gradients),
            saved=tuple(available[name] for name in self._task.saved),
        )

    def eager_ops(self, workload: Workload) -> tuple[EagerOp, ...]:  # noqa: ARG002 - one list serves every size
        return self._eager_ops

    def outline(self, workload: Workload) -> Outline:
        zeros = {spec.name: np.zeros(spec.shape, _numpy_type(spec.dtype)) for spec in workload.inputs}
        with np.errstate(all="ignore"):
            outputs = self._forward(zeros)
        return Outline(
            tensors=tuple(spec.model_copy(update={"domain": Domain()}) for spec in workload.inputs),
            outputs=tuple(OutputShape(dtype=_dtype(array), shape=np.shape(array)) for array in outputs),
        )

    def is_random(self, workload: Workload, tensors: Mapping[str, Tensor]) -> bool:  # noqa: ARG002 - sizes are theirs
        arrays = {name: to_array(tensor) for name, tensor in tensors.items()}
        with np.errstate(all="ignore"):
            first, second = self._forward(arrays), self._forward(arrays)
        return not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True))

    def construction(self, workload: Workload) -> Construction:
        inputs = tuple(spec.name for spec in workload.inputs if spec.role is Role.INPUT)
        state = tuple(spec.name for spec in workload.inputs if spec.role is not Role.INPUT)
        return Construction(call=tuple(CallItem(tensor=name) for name in inputs), inputs=inputs, state=state)


class _FakeCandidate:
    def __init__(
        self, kernel: Kernel, launches: tuple[Launch, ...] | None, microseconds: tuple[float, ...], *, watched: bool
    ) -> None:
        self._kernel = kernel
        self._watched = watched
        self._launches = launches
        self._microseconds = microseconds
        self._calls = 0

    @property
    def isolation(self) -> str:
        return "in memory"

    def call(
        self,
        arguments: Sequence[Tensor],
        *,
        checks: bool = True,  # noqa: ARG002 - nothing to check in memory
        counters: bool = False,  # noqa: ARG002 - nothing to count
        schedule_seed: int | None = None,
        return_arguments: bool = True,
        construction: Construction | None = None,  # noqa: ARG002 - a function needs none
    ) -> Execution:
        copies = list(map(_laid_out, arguments))
        layouts = tuple(tensor.layout for tensor in arguments)
        call = FakeCall(arguments=copies, schedule_seed=schedule_seed, number=self._calls, layouts=layouts)
        self._calls += 1
        try:
            with np.errstate(all="ignore"):
                outputs = tuple(from_array(array, _dtype(array)) for array in self._kernel(call))
        except FakeFaultError as fault:
            return Execution(state=fault.state, message=str(fault))
        after = tuple(from_array(array, tensor.dtype) for array, tensor in zip(copies, arguments, strict=True))
        return Execution(
            state=ExitState.OK,
            outputs=outputs,
            arguments_after=after if return_arguments else (),
            launches=self._seen(outputs),
            watched=self._watched,
        )

    def bench(
        self,
        argument_sets: Sequence[Sequence[Tensor]],
        repeats: int,  # noqa: ARG002 - the figures are given
        *,
        construction: Construction | None = None,  # noqa: ARG002 - a function needs none
    ) -> Execution:
        execution = self.call(argument_sets[0], return_arguments=False)
        if execution.state is not ExitState.OK:
            return execution
        return Execution(
            state=ExitState.OK, outputs=execution.outputs, launches=execution.launches, samples_us=self._microseconds
        )

    def _seen(self, outputs: Sequence[Tensor]) -> tuple[Launch, ...]:
        if self._launches is not None:
            return self._launches
        stored = float(sum(len(tensor.data) for tensor in outputs))
        counters = {"global_store_bytes": stored}
        return (Launch(kernel=_KERNEL, grid=(1, 1, 1), block=(32, 1, 1), dynamic_shared=0, counters=counters),)


def _laid_out(tensor: Tensor) -> Array:
    """Copy a tensor into an array of its layout; what lies between its elements is NaN, or -1."""
    values = to_array(tensor)
    placement = place(tensor.shape, tensor.layout)
    buffer = np.frombuffer(bytearray(b"\xff" * (placement.elements * values.itemsize)), values.dtype)
    steps = [stride * values.itemsize for stride in placement.strides]
    array = np.lib.stride_tricks.as_strided(buffer[placement.offset :], tensor.shape, steps)
    array[...] = values
    return array


def _in_precision(tensor: Tensor, precision: Precision) -> Array:
    if not tensor.dtype.is_floating or precision in (Precision.NATIVE, Precision.TEXTBOOK):
        return to_array(tensor)
    if precision in (Precision.ORACLE, Precision.SCATTERED):  # a function on arrays shows no operators to change
        return to_float64(tensor)
    return to_array(_coarse(to_array(tensor)))


def _result(array: Array, precision: Precision) -> Tensor:
    array = np.asarray(array)
    if precision is Precision.LOWER and array.dtype.kind == "f":
        return _coarse(array)
    return from_array(array, _dtype(array))


def _coarse(array: Array) -> Tensor:
    """Round to bfloat16, kept in the array's own type."""
    return from_array(to_array(from_array(array, DType.BFLOAT16)), _dtype(array))


def _numpy_type(dtype: DType) -> str:
    return DType.FLOAT32 if dtype is DType.BFLOAT16 else dtype.value


def _dtype(array: Array) -> DType:
    return DType(np.asarray(array).dtype.name)
