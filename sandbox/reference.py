"""Runs a task's reference in a child process: its source is untrusted, and PyTorch stays out of the judge."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from sandbox.channel import Message
from sandbox.isolation import Mounts, choose_isolation
from sandbox.process import HeldChild, ProcessFailedError
from sandbox.protocol import (
    ConstructionRequest,
    EagerOpsRequest,
    OutlineRequest,
    ReferenceReply,
    ReferenceRequest,
    RunRequest,
    TimeRequest,
)
from sandbox.scratch import scratch_folder
from sandbox.settings import SandboxSettings
from sandbox.toolchain import find_torch_headers
from sandbox.values import Device, ExitState, Limits, ReferenceResult, Tensor
from tasks.errors import InfraError, UserError
from tasks.fusion import ModelSplit
from tasks.loading import Sizes
from tasks.values import Construction, Direction, EagerOp, Outline, Precision, ProbeResult, Role, Task, Workload

_CUDA_TORCH_REMEDY = "install a build with CUDA: https://pytorch.org/get-started/locally"


@contextmanager
def open_reference(
    task: Task, limits: Limits | None = None, settings: SandboxSettings | None = None
) -> Iterator[ReferenceSession]:
    """Give a session that runs a task's reference; its processes are gone when the block ends.

    Parameters
    ----------
    task
        Whose reference to run.
    limits
        What the child may use; the settings' by default.
    settings
        Isolation; read from the environment by default.
    """
    with _open_child(limits, settings) as child:
        yield ReferenceSession(task, child)


@contextmanager
def open_eager(
    task: Task, device: Device, limits: Limits | None = None, settings: SandboxSettings | None = None
) -> Iterator[EagerSession]:
    """Give a session that times a task's reference on a real GPU; its processes are gone when the block ends.

    Parameters
    ----------
    task
        Whose reference to time.
    device
        A real GPU.
    limits
        What the child may use; the settings' by default.
    settings
        Isolation; read from the environment by default.

    Raises
    ------
    InfraError
        The installed PyTorch is for CPUs only.
    """
    if not find_torch_headers().with_cuda:
        raise InfraError(
            f"eager PyTorch cannot be timed on {device.name}: the installed PyTorch is for CPUs only; "
            f"{_CUDA_TORCH_REMEDY}"
        )
    with _open_child(limits, settings, gpu=device.index) as child:
        yield EagerSession(task, child)


@contextmanager
def open_references(
    tasks: Sequence[Task], limits: Limits | None = None, settings: SandboxSettings | None = None
) -> Iterator[tuple[ReferenceSession, ...]]:
    """Give a session for each of several tasks, all in one process, since starting PyTorch costs more than most runs.

    What one source does to its process, the next one meets there: only for sources of one author.
    """
    with _open_child(limits, settings) as child:
        yield tuple(ReferenceSession(task, child) for task in tasks)


class EagerSession:
    """Times of one task's reference on a real GPU. Made by `open_eager`."""

    def __init__(self, task: Task, child: ReferenceChild) -> None:
        self._task = task
        self._child = child

    def time(
        self,
        workload: Workload,
        tensors: Mapping[str, Tensor],
        repeats: int,
        output_gradients: Sequence[Tensor] = (),
    ) -> tuple[float, ...]:
        """Return the microseconds of each of `repeats` runs; of fewer, but ten, when they take long.

        Parameters
        ----------
        workload
            Gives the sizes.
        tensors
            Inputs, parameters and buffers by name.
        repeats
            How many samples are wanted.
        output_gradients
            Backward tasks: one per floating result of the forward; the backward pass alone is timed.

        Raises
        ------
        UserError
            The reference fails, crashes or does not end on the GPU; with its own error.
        """
        asked = TimeRequest(axes=workload.axes, names=tuple(tensors), repeats=repeats)
        request = _request(self._task).model_copy(update={"time": asked})
        reply, _ = self._child.ask(request, (*tensors.values(), *output_gradients))
        if not reply.samples_us:
            raise UserError("the reference took over its own process: it answered what it was not asked")
        return reply.samples_us


class ReferenceSession:
    """Runs of one task's reference. Made by `open_reference`."""

    def __init__(self, task: Task, child: ReferenceChild) -> None:
        self._task = task
        self._child = child

    def run(
        self,
        workload: Workload,
        tensors: Mapping[str, Tensor],
        precision: Precision,
        output_gradients: Sequence[Tensor] = (),
    ) -> ReferenceResult:
        """Compute the op on the given tensors.

        Parameters
        ----------
        workload
            Gives the sizes.
        tensors
            Inputs, parameters and buffers by name.
        precision
            In which to compute; the oracle's results are float64.
        output_gradients
            Backward tasks: one per floating result of the forward. Without them nothing is computed, and the result
            only tells for which types and shapes to draw them.

        Raises
        ------
        UserError
            The reference fails, crashes or does not end; with its own error.
        """
        backward = self._task.direction is Direction.BACKWARD
        run = RunRequest(axes=workload.axes, names=tuple(tensors), precision=precision)
        request = _request(self._task).model_copy(update={"run": run, "backward": backward})
        reply, results = self._child.ask(request, (*tensors.values(), *output_gradients))
        return ReferenceResult(
            outputs=results[: reply.outputs],
            saved=results[reply.outputs :],
            output_gradients=tuple((shape.dtype, shape.shape) for shape in reply.output_shapes),
            seconds=reply.seconds,
        )

    def eager_ops(self, workload: Workload) -> tuple[EagerOp, ...]:
        """List the operators that eager PyTorch launches at a workload's sizes; only shapes are computed if possible.

        Raises
        ------
        UserError
            As for `run`.
        """
        wanted = EagerOpsRequest(axes=workload.axes, inputs=workload.inputs)
        backward = self._task.direction is Direction.BACKWARD
        reply, _ = self._child.ask(
            _request(self._task).model_copy(update={"eager_ops": wanted, "backward": backward}), ()
        )
        return reply.ops

    def construction(self, workload: Workload) -> Construction:
        """Tell how the reference's model is constructed and called at a workload's sizes, for `ModelNew`.

        Raises
        ------
        UserError
            As for `run`; or it takes arguments that cannot be passed on.
        """
        wanted = ConstructionRequest(axes=workload.axes)
        reply, _ = self._child.ask(_request(self._task).model_copy(update={"construction": wanted}), ())
        if reply.construction is None:
            raise UserError("the reference took over its own process: it answered what it was not asked")
        # The workload says in which order a candidate's tensors come.
        inputs = [spec.name for spec in workload.inputs if spec.role is Role.INPUT]
        state = [spec.name for spec in workload.inputs if spec.role is not Role.INPUT]
        return reply.construction.model_copy(update={"inputs": tuple(inputs), "state": tuple(state)})

    def outline(self, workload: Workload) -> Outline:
        """List the tensors that the reference itself states at a workload's sizes, and its results' types and sizes.

        Raises
        ------
        UserError
            As for `run`.
        """
        wanted = OutlineRequest(axes=workload.axes, inputs=workload.inputs)
        reply, _ = self._child.ask(_request(self._task).model_copy(update={"outline": wanted}), ())
        if reply.outline is None:
            raise UserError("the reference took over its own process: it answered what it was not asked")
        return reply.outline

    def is_random(self, workload: Workload, tensors: Mapping[str, Tensor]) -> bool:
        """Tell whether two native forwards on the same tensors differ when PyTorch's generator starts elsewhere.

        Raises
        ------
        UserError
            As for `run`.
        """
        run = RunRequest(axes=workload.axes, names=tuple(tensors), precision=Precision.NATIVE, is_random=True)
        reply, _ = self._child.ask(_request(self._task).model_copy(update={"run": run}), tuple(tensors.values()))
        return reply.is_random


def _request(task: Task) -> ReferenceRequest:
    return ReferenceRequest(
        nonce="",
        source=task.source,
        form=task.form,
        entry=task.entry,
        saved=task.saved,
        gradients=task.gradients,
    )


class SandboxProber:
    """Finds out what a reference source is, in a child process (`tasks.loading.Prober`).

    Parameters
    ----------
    settings
        Isolation and limits; read from the environment by default.
    """

    def __init__(self, settings: SandboxSettings | None = None) -> None:
        self._settings = settings or SandboxSettings.load()

    def probe(self, source: str, stated: Sequence[Sizes] = ()) -> ProbeResult:
        """Describe the op that `source` states, at the sizes that `stated` asks for too.

        Raises
        ------
        UserError
            The source states no usable op; with the reference's own error if it raised.
        InfraError
            It could not be executed here.
        """
        asked = ReferenceRequest(nonce="", source=source, probe=True, stated=tuple(map(dict, stated)))
        with _open_child(self._settings.probe_limits, self._settings) as child:
            reply, _ = child.ask(asked, ())
        if reply.probed is None:
            raise UserError("the reference took over its own process: it answered what it was not asked")
        return reply.probed

    def split(self, source: str) -> ModelSplit:
        """Cut the model that `source` states into groups of operators that fuse, the largest first.

        Raises
        ------
        UserError
            As for `probe`; or the model cannot be traced on shapes alone.
        InfraError
            As for `probe`.
        """
        with _open_child(self._settings.probe_limits, self._settings) as child:
            reply, _ = child.ask(ReferenceRequest(nonce="", source=source, split=True), ())
        if reply.split is None:
            raise UserError("the reference took over its own process: it answered what it was not asked")
        return reply.split


class ReferenceChild:
    """A child that executes references, started again after it failed; on a GPU where `gpu` is its number."""

    def __init__(self, limits: Limits, settings: SandboxSettings, home: Path, gpu: int | None = None) -> None:
        self._limits = limits
        self._gpu = gpu
        self._isolation = choose_isolation(settings.isolation)
        self._home = home
        self._child: HeldChild | None = None

    def ask(self, request: ReferenceRequest, tensors: Sequence[Tensor]) -> tuple[ReferenceReply, tuple[Tensor, ...]]:
        """Send a request under a fresh nonce.

        Raises
        ------
        UserError
            The reference failed, or took its process down.
        """
        asked = request.model_copy(update={"nonce": secrets.token_hex(16)})
        message = Message(body=asked.model_dump_json(), tensors=tuple(tensors))
        child = self.start()
        try:
            answer = child.exchange(message, self._limits.wall_seconds)
            reply = _reply(answer, asked.nonce)
        except InfraError:
            self.close()
            raise
        except ProcessFailedError as error:
            printed = child.output.splitlines()
            self.close()
            raise self._blame(error, printed[-1] if printed else "") from error
        if reply.error:
            raise UserError(reply.error)
        return reply, answer.tensors

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def start(self) -> HeldChild:
        """Return the child, started if there is none; it loads PyTorch while the caller does other work."""
        if self._child is None:
            self._child = self._started()
        return self._child

    def _started(self) -> HeldChild:
        return HeldChild(
            [
                sys.executable,
                "-I",
                "-B",
                "-m",
                "sandbox.child.reference",
                *([] if self._gpu is None else [str(self._gpu)]),
            ],
            isolation=self._isolation,
            limits=self._limits,
            mounts=Mounts(gpu=self._gpu is not None),
            home=self._home,
        )

    def _blame(self, error: ProcessFailedError, printed: str) -> UserError:
        if error.state is ExitState.TIMEOUT:
            return UserError(f"the reference did not end within {self._limits.wall_seconds:g} s")
        detail = f" ({printed})" if printed else ""
        return UserError(f"the reference took its process down: {error.message}{detail}")


@contextmanager
def _open_child(
    limits: Limits | None, settings: SandboxSettings | None, gpu: int | None = None
) -> Iterator[ReferenceChild]:
    settings = settings or SandboxSettings.load()
    with scratch_folder() as home:
        child = ReferenceChild(limits or settings.limits, settings, home, gpu)
        child.start()
        try:
            yield child
        finally:
            child.close()


def _reply(answer: Message, nonce: str) -> ReferenceReply:
    try:
        reply = ReferenceReply.model_validate_json(answer.body)
    except ValidationError as error:
        raise ProcessFailedError(ExitState.CRASHED, "it sent something that is no reply") from error
    if reply.nonce != nonce or not 0 <= reply.outputs <= len(answer.tensors):
        raise ProcessFailedError(ExitState.CRASHED, "it sent a reply to another request")
    return reply
