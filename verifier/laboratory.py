"""The seam between judging and running: what the verifier asks of the sandbox, and nothing else.

`verifier.sandboxed.SandboxLaboratory` is the real one; `verifier.fake.InMemoryLaboratory` computes in this process, for
tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from sandbox.values import Build, Candidate, Device, Execution, Limits, ReferenceResult, Tensor
from simgpu.specs import DeviceSpec
from tasks.values import Construction, EagerOp, Precision, Task, Workload


class ReferenceRunner(Protocol):
    """Runs the task's reference; it is untrusted, so its answers are data and nothing more."""

    def run(
        self,
        workload: Workload,
        tensors: Mapping[str, Tensor],
        precision: Precision,
        output_gradients: Sequence[Tensor] = (),
    ) -> ReferenceResult:
        """Return the reference's results; UserError when the reference itself fails."""

    def eager_ops(self, workload: Workload) -> tuple[EagerOp, ...]:
        """Return what PyTorch's eager mode would launch at this workload."""

    def construction(self, workload: Workload) -> Construction:
        """Return how the reference's model is constructed and called at this workload; UserError when it can't be."""


class EagerRunner(Protocol):
    """Times the task's reference on a real GPU, as eager PyTorch runs it."""

    def time(
        self,
        workload: Workload,
        tensors: Mapping[str, Tensor],
        repeats: int,
        output_gradients: Sequence[Tensor] = (),
    ) -> tuple[float, ...]:
        """Return microseconds per run, of the backward pass alone where there are output gradients."""


class ReferenceOver:
    """A reference over another one: a base of those that watch or remember its runs, and pass on all other questions.

    Parameters
    ----------
    real
        Answers.
    """

    def __init__(self, real: ReferenceRunner) -> None:
        self._real = real

    def run(
        self,
        workload: Workload,
        tensors: Mapping[str, Tensor],
        precision: Precision,
        output_gradients: Sequence[Tensor] = (),
    ) -> ReferenceResult:
        """Return the reference's results."""
        return self._real.run(workload, tensors, precision, output_gradients)

    def eager_ops(self, workload: Workload) -> tuple[EagerOp, ...]:
        """Return what PyTorch's eager mode would launch at this workload."""
        return self._real.eager_ops(workload)

    def construction(self, workload: Workload) -> Construction:
        """Return how the reference's model is constructed and called at this workload."""
        return self._real.construction(workload)


class CandidateRunner(Protocol):
    """Calls the candidate on a device."""

    @property
    def isolation(self) -> str:
        """How the candidate's process is held."""

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
        """Return the outcome of one call; a crash or an expiry is an outcome too."""

    def bench(
        self, argument_sets: Sequence[Sequence[Tensor]], repeats: int, *, construction: Construction | None = None
    ) -> Execution:
        """Time calls on fresh arguments: samples on a GPU, one modelled figure on a simulated device."""


class Laboratory(Protocol):
    """Builds candidates and opens runners."""

    def figures(self, device: Device) -> DeviceSpec:
        """Return a device's figures; UserError when its rates are not known."""

    def prepare(self, task: Task) -> None:
        """Start the process that the task's reference will need, without waiting for it."""

    def build(self, candidate: Candidate, device: Device) -> Build:
        """Return the built candidate; BuildError when it does not build."""

    def candidate(self, build: Build, device: Device, limits: Limits | None) -> AbstractContextManager[CandidateRunner]:
        """Open a process of its own for the candidate; `limits` None takes the settings' own."""

    def reference(self, task: Task, limits: Limits | None) -> AbstractContextManager[ReferenceRunner]:
        """Open a process of its own for the reference."""

    def eager(self, task: Task, device: Device, limits: Limits | None) -> AbstractContextManager[EagerRunner]:
        """Open a process of its own that times the reference on a real GPU."""
