"""KernelBench's rule, for comparison: five draws of `torch.rand` at one public shape, `allclose` at 1e-4.

Parameters are those of a freshly made module. What the rule does not look at stays unseen here too: other shapes,
changed inputs, memory errors that do not end the process, element types (`allclose` on the values).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from sandbox.values import ExitState, Tensor
from tasks.reference import Reference
from tasks.values import Direction, DType, InputSpec, Precision, Purpose, Role, Task, Visibility, Workload
from verifier.laboratory import CandidateRunner

TRIALS: Final = 5
TOLERANCE: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Trial:
    """One draw: what the candidate gets, and what the rule compares with."""

    arguments: tuple[Tensor, ...]
    expected: tuple[torch.Tensor, ...]


class KernelBenchRule:
    """The rule for one task.

    Parameters
    ----------
    task
        A library task; its reference is ours, so it runs in this process.
    seed
        Of the draws; the original's is public too.
    """

    def __init__(self, task: Task, seed: int = 42) -> None:
        public = task.workloads_for(Purpose.VERIFY, Visibility.PUBLIC)
        workload = max(public, key=lambda one: sum(spec.nbytes for spec in one.inputs))
        torch.manual_seed(seed)
        reference = Reference(task.source, task.form, task.entry, workload.axes)
        fresh = _fresh_parameters(task, workload)
        self._trials = [_trial(task, reference, workload, fresh) for _ in range(TRIALS)]

    def passes(self, session: CandidateRunner) -> bool:
        """Whether a candidate passes every trial; without memory checks, since a real card has none."""
        return all(self._agrees(session, trial) for trial in self._trials)

    def _agrees(self, session: CandidateRunner, trial: Trial) -> bool:
        execution = session.call(trial.arguments, checks=False, return_arguments=False)
        if execution.state is not ExitState.OK or len(execution.outputs) != len(trial.expected):
            return False
        pairs = zip(map(_to_torch, execution.outputs), trial.expected, strict=True)
        return all(
            made.shape == right.shape and torch.allclose(made.to(right.dtype), right, atol=TOLERANCE, rtol=TOLERANCE)
            for made, right in pairs
        )


def _trial(task: Task, reference: Reference, workload: Workload, fresh: dict[str, torch.Tensor]) -> Trial:
    tensors = {spec.name: _drawn(spec) if spec.role is Role.INPUT else fresh[spec.name] for spec in workload.inputs}
    expected = reference.forward(tensors, Precision.NATIVE)
    if task.direction is Direction.FORWARD:
        return Trial(tuple(map(_from_torch, tensors.values())), tuple(expected))
    upstream = [torch.rand_like(tensor) for tensor in expected]
    result = reference.backward(tensors, upstream, task.saved, task.gradients, Precision.NATIVE)
    return Trial(tuple(map(_from_torch, (*upstream, *result.saved))), tuple(result.gradients))


def _drawn(spec: InputSpec) -> torch.Tensor:
    if spec.domain.high is not None:
        return torch.randint(0, spec.domain.high, spec.shape)
    return torch.rand(spec.shape)


def _fresh_parameters(task: Task, workload: Workload) -> dict[str, torch.Tensor]:
    """Return the state of a freshly made module at these sizes."""
    namespace: dict[str, Any] = {}
    exec(compile(task.source, task.slug, "exec"), namespace)  # noqa: S102 - a library task's source is our own
    namespace.update(workload.axes)
    module: torch.nn.Module = namespace[task.entry](*namespace["get_init_inputs"]())
    return {name: value.detach() for name, value in module.state_dict().items()}


def _from_torch(tensor: torch.Tensor) -> Tensor:
    dense = tensor.detach().contiguous()
    return Tensor(DType(str(tensor.dtype).removeprefix("torch.")), tuple(dense.shape), dense.numpy().tobytes())


def _to_torch(tensor: Tensor) -> torch.Tensor:
    flat: Sequence[float] | torch.Tensor = torch.frombuffer(bytearray(tensor.data), dtype=getattr(torch, tensor.dtype))
    return flat.reshape(tensor.shape)
