"""The laboratory in which faulty kernels are judged: the verifier's own judgement, over the cheapest way to run them.

A raw kernel is compiled by NVRTC and simulated in the calling process, which `mutation.py` forks for each fault: that
spares starting interpreters and loading libraries, and a fault that brings its process down has been caught. Kernels
with host code go through the sandbox. The reference's answers are kept, since every fault of a task is judged on the
same draws.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path

from sandbox.build import build
from sandbox.build.nvrtc_child import compile_ptx
from sandbox.candidate import open_candidate
from sandbox.child.card import Card
from sandbox.child.program import Program
from sandbox.child.raw import RawHost
from sandbox.child.simulated import SimulatedProgram
from sandbox.launch.spec import SPEC_FILE, parse_launch_spec
from sandbox.protocol import CallRequest, CandidateConfig
from sandbox.toolchain import find_toolchain
from sandbox.values import (
    Build,
    BuildError,
    BuildErrorKind,
    Candidate,
    Device,
    Execution,
    KernelResources,
    Language,
    Limits,
    ReferenceResult,
    Tensor,
)
from simgpu.specs import DeviceSpec, device_spec
from tasks.errors import UserError
from tasks.values import Construction, EagerOp, Precision, Task, Workload
from verifier.laboratory import CandidateRunner, EagerRunner, ReferenceOver, ReferenceRunner
from verifier.sandboxed import SandboxLaboratory

_MEMORY = 1 << 30
"""Bytes of the simulated card's memory in this process."""


class KeptReference(ReferenceOver):
    """A reference that remembers its answers, refusals too; it asks the real one only for what it does not know."""

    def __init__(self, real: ReferenceRunner, known: dict[str, ReferenceResult | UserError], task: Task) -> None:
        super().__init__(real)
        self._known = known
        self._task = task.content_hash  # a backward task's forward half is asked on the same tensors

    def run(
        self,
        workload: Workload,
        tensors: Mapping[str, Tensor],
        precision: Precision,
        output_gradients: Sequence[Tensor] = (),
    ) -> ReferenceResult:
        """Return what the reference answers."""
        digest = hashlib.sha256(f"{self._task} {workload.name} {workload.axes} {precision}".encode())
        for tensor in (*tensors.values(), *output_gradients):
            digest.update(f"{tensor.dtype}{tensor.shape}".encode())
            digest.update(tensor.data)
        key = digest.hexdigest()
        if key not in self._known:
            try:
                self._known[key] = super().run(workload, tensors, precision, output_gradients)
            except UserError as error:
                self._known[key] = error
        answer = self._known[key]
        if isinstance(answer, UserError):
            raise answer
        return answer


class OnDemand:
    """A reference that is opened when it is first asked; most faults ask nothing that is not known.

    Parameters
    ----------
    opening
        Opens it.
    """

    def __init__(self, opening: Callable[[], ReferenceRunner]) -> None:
        self._opened = cache(opening)

    def run(
        self,
        workload: Workload,
        tensors: Mapping[str, Tensor],
        precision: Precision,
        output_gradients: Sequence[Tensor] = (),
    ) -> ReferenceResult:
        """Return the reference's results."""
        return self._opened().run(workload, tensors, precision, output_gradients)

    def eager_ops(self, workload: Workload) -> tuple[EagerOp, ...]:
        """Return what PyTorch's eager mode would launch at this workload."""
        return self._opened().eager_ops(workload)

    def construction(self, workload: Workload) -> Construction:
        """Return how the reference's model is constructed and called at this workload."""
        return self._opened().construction(workload)


class InProcess:
    """A raw candidate on a simulated card in this process."""

    def __init__(self, program: Program) -> None:
        self._program = program

    @property
    def isolation(self) -> str:
        """How it is held: not at all, for the faults are our own."""
        return "none: simulated in the judging process"

    def call(
        self,
        arguments: Sequence[Tensor],
        *,
        checks: bool = True,
        counters: bool = False,
        schedule_seed: int | None = None,
        return_arguments: bool = True,
        construction: Construction | None = None,  # noqa: ARG002 - of modules, which are not raw
    ) -> Execution:
        """Run it once."""
        request = CallRequest(
            nonce="",
            checks=checks,
            counters=counters,
            schedule_seed=schedule_seed,
            return_arguments=return_arguments,
        )
        return self._program.call(request, arguments)

    def bench(self, argument_sets: Sequence[Sequence[Tensor]], repeats: int) -> Execution:
        """Refuse: faults are not timed."""
        raise NotImplementedError


class Bench:
    """The laboratory of one task (`verifier.laboratory.Laboratory`).

    Parameters
    ----------
    task
        Whose kernels are judged.
    inner
        Runs the reference, and builds and runs kernels with host code.
    """

    def __init__(self, task: Task, inner: SandboxLaboratory) -> None:
        self.task = task
        self.in_process = True
        """Whether raw kernels run here; otherwise the sandbox holds them too."""
        self._inner = inner
        self._known: dict[str, ReferenceResult | UserError] = {}
        self._opened = ExitStack()
        self.last: CandidateRunner | None = None
        """The candidate of the last verdict, still loaded until `close`."""

    def prepare(self, task: Task) -> None:
        """Start nothing ahead: the answers of the reference are known after the first verdict."""

    def build(self, candidate: Candidate, device: Device) -> Build:
        """Build; BuildError when it does not."""
        if candidate.language is Language.RAW and self.in_process:
            return _compiled(candidate, device.arch)
        return build(candidate, device.arch)

    @contextmanager
    def candidate(self, build: Build, device: Device, limits: Limits | None) -> Iterator[CandidateRunner]:
        """Open the candidate, and leave it open for KernelBench's rule."""
        if build.language is Language.RAW and self.in_process:
            self.last = InProcess(_loaded(build, device))
        else:
            self.last = self._opened.enter_context(open_candidate(build, device, limits=limits))
        yield self.last

    @contextmanager
    def reference(self, task: Task, limits: Limits | None) -> Iterator[KeptReference]:
        """Give the task's reference."""
        with ExitStack() as opened:
            real = OnDemand(lambda: opened.enter_context(self._inner.reference(task, limits)))
            yield KeptReference(real, self._known, task)

    def eager(self, task: Task, device: Device, limits: Limits | None) -> AbstractContextManager[EagerRunner]:
        """Open what times the reference on a GPU."""
        return self._inner.eager(task, device, limits)

    def figures(self, device: Device) -> DeviceSpec:
        """Return a device's figures."""
        return self._inner.figures(device)

    def close(self) -> None:
        """End the candidate of the last verdict."""
        self.last = None
        self._opened.close()


def _compiled(candidate: Candidate, arch: str) -> Build:
    """Compile device code in this process; ptxas is left out, so a kernel has the registers of a small one."""
    folder = Path(tempfile.mkdtemp(prefix="kernelwright-fault-"))
    for file in candidate.files:
        (folder / file.name).write_text(file.text, encoding="utf-8")
    source = next(file.name for file in candidate.files if file.name.endswith(".cu"))
    spec = parse_launch_spec(next(file.text for file in candidate.files if file.name == SPEC_FILE))
    flags = (f"--gpu-architecture={arch.replace('sm_', 'compute_')}", "-lineinfo", "--std=c++17")
    includes = [f"-I{path}" for path in find_toolchain().cuda_includes]
    if compile_ptx(folder / source, folder / "candidate.ptx", [*flags, *includes]):
        raise BuildError(BuildErrorKind.OTHER, "NVRTC refuses it", "")
    names = dict.fromkeys(launch.kernel for launch in spec.launches)
    return Build(
        candidate_hash=candidate.content_hash,
        language=candidate.language,
        entry=candidate.entry,
        arch=arch,
        folder=folder,
        library=None,
        ptx="candidate.ptx",
        toolchain="NVRTC",
        flags=flags,
        log="",
        kernels=tuple(KernelResources(kernel=name, registers=32) for name in names),
        seconds=0.0,
        cached=False,
    )


def _loaded(build: Build, device: Device) -> Program:
    config = CandidateConfig(
        language=build.language,
        entry=build.entry,
        folder=build.folder,
        library=build.library,
        ptx=build.ptx,
        kernels=build.kernels,
        device=device,
        memory_bytes=_MEMORY,
        standin=None,
    )
    return SimulatedProgram(RawHost(config, Card(device_spec(device.model), _MEMORY)))
