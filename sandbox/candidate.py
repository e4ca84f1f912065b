"""Runs a candidate in a child process: one child, many calls, a fresh child after one that died."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from sandbox.channel import Message
from sandbox.evidence import ExtensionRequest
from sandbox.isolation import Isolation, Mounts, choose_isolation
from sandbox.leases import hold
from sandbox.process import HeldChild, ProcessFailedError
from sandbox.protocol import (
    BenchRequest,
    CallRequest,
    CandidateConfig,
    CandidateReply,
    CandidateRequest,
    ExtensionAnswer,
    LoadRequest,
)
from sandbox.quarantine import Quarantine
from sandbox.scratch import scratch_folder
from sandbox.settings import SandboxSettings
from sandbox.values import Build, BuildError, Device, DeviceKind, Execution, ExitState, Limits, Tensor
from simgpu.cudart.native_build import StandInBuildError, build_standin
from simgpu.specs import device_spec
from tasks.errors import InfraError
from tasks.values import Construction, DType

_SHOWN_OUTPUT = 2000
_MOST_EXTENSIONS = 16
"""Extensions that a candidate may have built during one request."""


@contextmanager
def open_candidate(
    build: Build,
    device: Device,
    limits: Limits | None = None,
    settings: SandboxSettings | None = None,
    quarantine: Quarantine | None = None,
) -> Iterator[CandidateSession]:
    """Give a session that runs one build on one device; its processes are gone when the block ends.

    Parameters
    ----------
    build
        What to run.
    device
        Where; its architecture is the one that the build was made for.
    limits
        What the child may use; the settings' by default.
    settings
        Isolation and cache folder; read from the environment by default.
    quarantine
        Where contexts that the candidate ends are remembered. By default a file in the cache folder for a GPU, and
        nowhere for a simulated card, which is as new after every call.

    Raises
    ------
    InfraError
        No process can be held here, or the stand-in runtime cannot be compiled.
    """
    settings = settings or SandboxSettings.load()
    if limits is None:
        limits = settings.limits
        if build.jit:
            # A first call compiles, which is not the candidate's time.
            limits = limits.model_copy(update={"wall_seconds": limits.wall_seconds + settings.compile_seconds})
    if quarantine is None and device.kind is DeviceKind.CUDA:
        quarantine = Quarantine(settings.cache_dir / "quarantine", build.candidate_hash, device)
    with scratch_folder() as home, hold(build.folder):
        starter = _Starter(build, device, limits, settings, home)
        session = CandidateSession(starter, limits, quarantine)
        session.start()
        try:
            yield session
        finally:
            session.close()


class CandidateSession:
    """Calls of one candidate. Made by `open_candidate`.

    A call never raises for what the candidate does: a crash, a timeout or a broken limit is the state of its
    `Execution`, and the next call starts a fresh child. So does a context that the candidate ended, where that is
    remembered; a candidate that was found to end contexts is not run at all.
    """

    def __init__(self, starter: _Starter, limits: Limits, quarantine: Quarantine | None = None) -> None:
        self._starter = starter
        self._limits = limits
        self._quarantine = quarantine
        self._child: HeldChild | None = None
        self._extensions: dict[ExtensionRequest, Build] = {}
        self._build_errors: list[BuildError] = []

    @property
    def isolation(self) -> str:
        """How the child is held."""
        return self._starter.isolation.name

    @property
    def output(self) -> str:
        """What the candidate's present child printed, bounded; empty when there is none."""
        return self._child.output if self._child else ""

    @property
    def extensions(self) -> tuple[Build, ...]:
        """The extensions that the candidate had built so far."""
        return tuple(self._extensions.values())

    @property
    def build_errors(self) -> tuple[BuildError, ...]:
        """Why extensions did not build during the last request."""
        return tuple(self._build_errors)

    def load(self) -> Execution:
        """Load the candidate and call nothing."""
        request = LoadRequest(nonce=secrets.token_hex(16))
        return self._ask(CandidateRequest(load=request), request.nonce, ())

    def call(
        self,
        arguments: Sequence[Tensor],
        *,
        checks: bool = True,
        counters: bool = False,
        schedule_seed: int | None = None,
        return_arguments: bool = True,
        construction: Construction | None = None,
    ) -> Execution:
        """Run the candidate once, its arguments at new addresses.

        Parameters
        ----------
        arguments
            Tensors in the candidate's order.
        checks
            Simulated device: check every memory access.
        counters
            Simulated device: count events and model the time of each launch.
        schedule_seed
            Simulated device: order in which blocks and warps run; None is the natural order.
        return_arguments
            Whether to return the arguments as they are after the call.
        construction
            `modelnew`: how the model is constructed and called at these sizes.
        """
        request = CallRequest(
            nonce=secrets.token_hex(16),
            checks=checks,
            counters=counters,
            schedule_seed=schedule_seed,
            return_arguments=return_arguments,
            construction=construction,
        )
        return self._ask(CandidateRequest(call=request), request.nonce, arguments)

    def bench(
        self, argument_sets: Sequence[Sequence[Tensor]], repeats: int, *, construction: Construction | None = None
    ) -> Execution:
        """Time the candidate.

        On a GPU: `repeats` samples by CUDA events, over the argument sets in turn. On a simulated device: one modelled
        figure from one counted run of the first set. The outputs are those of the first set.
        """
        request = BenchRequest(
            nonce=secrets.token_hex(16), sets=len(argument_sets), repeats=repeats, construction=construction
        )
        tensors = [tensor for arguments in argument_sets for tensor in arguments]
        return self._ask(CandidateRequest(bench=request), request.nonce, tensors)

    def start(self) -> None:
        """Start the child if there is none; it loads the simulator while the caller does other work."""
        if self._quarantine is None or self._quarantine.outcome() is None:
            self._started()

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def _ask(self, request: CandidateRequest, nonce: str, tensors: Sequence[Tensor]) -> Execution:
        message = Message(body=request.model_dump_json(), tensors=tuple(tensors))
        self._build_errors.clear()
        if self._quarantine is not None and (known := self._quarantine.outcome()):
            return known
        try:
            child = self._started()
            reply, answer = self._exchange(child, message, nonce)
        except InfraError:
            self.close()
            raise
        except ProcessFailedError as error:
            printed = self.output[-_SHOWN_OUTPUT:]
            self.close()
            text = f"{error.message}; it printed: {printed}" if printed else error.message
            return Execution(state=error.state, message=f"the candidate's process failed: {text}")
        kernels = tuple(kernel for build in self._extensions.values() for kernel in build.kernels)
        execution = replace(_execution(reply, answer), kernels=kernels)
        if execution.context_lost and self._quarantine is not None:
            self._quarantine.note(execution)
            self.close()
        if self._build_errors and execution.state is not ExitState.OK:
            return replace(execution, state=ExitState.COMPILE_ERROR, message=self._build_errors[0].summary)
        return execution

    def _exchange(self, child: HeldChild, message: Message, nonce: str) -> tuple[CandidateReply, Message]:
        """Send a request; build the extensions that the child wants before it answers."""
        for _ in range(_MOST_EXTENSIONS):
            answer = child.exchange(message, self._limits.wall_seconds)
            reply = _reply(answer, nonce)
            if reply.wanted is None:
                return reply, answer
            message = self._extension(reply.wanted)
        self.close()
        raise ProcessFailedError(ExitState.CRASHED, f"it wanted more than {_MOST_EXTENSIONS} extensions in one call")

    def _extension(self, request: ExtensionRequest) -> Message:
        try:
            built = self._starter.support.extension(request)
        except BuildError as error:
            self._build_errors.append(error)
            return Message(body=ExtensionAnswer(error=error.summary).model_dump_json())
        self._extensions[request] = built
        data = Path(built.folder, built.library or "").read_bytes()
        library = Tensor(dtype=DType.UINT8, shape=(len(data),), data=data)
        return Message(body=ExtensionAnswer(kernels=built.kernels).model_dump_json(), tensors=(library,))

    def _started(self) -> HeldChild:
        if self._child is None:
            self._child = self._starter.start()
        return self._child


class Support(Protocol):
    """What a Python candidate's process needs beyond its file (`sandbox.build.python_support.PythonSupport`)."""

    def guard(self) -> Path:
        """Return PyTorch's device guard, compiled."""

    def extension(self, request: ExtensionRequest) -> Build:
        """Build an extension; BuildError when it does not build."""


class _Starter:
    """Starts children for one build on one device."""

    def __init__(self, build: Build, device: Device, limits: Limits, settings: SandboxSettings, home: Path) -> None:
        # The import runs the other way too: builds of Python candidates open candidates.
        from sandbox.build.python_support import PythonSupport  # noqa: PLC0415

        self.isolation: Isolation = choose_isolation(settings.isolation)
        self.support: Support = PythonSupport(settings, device.arch)
        self._build = build
        self._limits = limits
        self._home = home
        self._device = device
        simulated = device.kind is DeviceKind.SIM
        self._guard = self.support.guard() if simulated and build.language.is_python else None
        self._standin = _standin(settings.cache_dir / "cudart") if simulated else None
        shown = (self._standin.parent if self._standin else None, self._guard)
        self._readable = (build.folder, *(one for one in shown if one))

    def start(self) -> HeldChild:
        """Start a child that has loaded nothing yet."""
        build = self._build
        simulated = self._device.kind is DeviceKind.SIM
        memory = min(device_spec(self._device.model).memory_bytes, self._limits.memory_bytes) if simulated else 0
        config = CandidateConfig(
            language=build.language,
            entry=build.entry,
            folder=build.folder,
            library=build.library,
            ptx=build.ptx,
            kernels=build.kernels,
            device=self._device,
            memory_bytes=memory,
            standin=self._standin,
            source=build.source,
            guard=self._guard,
        )
        return HeldChild(
            [sys.executable, "-I", "-B", "-m", "sandbox.child.candidate", config.model_dump_json()],
            isolation=self.isolation,
            limits=self._limits,
            mounts=Mounts(readable=self._readable, gpu=not simulated),
            home=self._home,
        )


def _standin(cache: Path) -> Path:
    try:
        return build_standin(cache)
    except StandInBuildError as error:
        raise InfraError(str(error)) from error


def _reply(answer: Message, nonce: str) -> CandidateReply:
    try:
        reply = CandidateReply.model_validate_json(answer.body)
    except ValidationError as error:
        raise ProcessFailedError(ExitState.CRASHED, "it sent something that is no reply") from error
    if reply.nonce != nonce or not 0 <= reply.outputs <= len(answer.tensors):
        raise ProcessFailedError(ExitState.CRASHED, "it sent a reply to another request")
    return reply


def _execution(reply: CandidateReply, answer: Message) -> Execution:
    return Execution(
        state=reply.state,
        message=reply.message,
        outputs=answer.tensors[: reply.outputs],
        arguments_after=answer.tensors[reply.outputs :],
        diagnostics=reply.diagnostics,
        launches=reply.launches,
        seconds=reply.seconds,
        samples_us=reply.samples_us,
        host_ops=reply.host_ops,
        specialisations=reply.specialisations,
        context_lost=reply.context_lost,
        watched=reply.watched,
    )
