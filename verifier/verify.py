"""The entry: a candidate's verdict, through the real sandbox."""

from __future__ import annotations

from contextlib import nullcontext

from sandbox.values import Candidate, Device, Limits
from tasks.values import Task
from verifier.laboratory import Laboratory
from verifier.sandboxed import SandboxLaboratory
from verifier.values import Verdict
from verifier.verification import OnCheck, Verification


def verify(
    task: Task,
    candidate: Candidate,
    device: Device,
    *,
    seed: int,
    on_check: OnCheck | None = None,
    limits: Limits | None = None,
    laboratory: Laboratory | None = None,
) -> Verdict:
    """Build, run and judge one candidate; the same arguments give the same verdict.

    Parameters
    ----------
    task
        What the candidate must compute.
    candidate
        Its source.
    device
        Where it runs.
    seed
        Secret: inputs and schedules derive from it. Never show it to a proposer before the verdict stands.
    on_check
        Told of every check as it is known.
    limits
        For each of the two child processes; the sandbox's settings when None.
    laboratory
        What builds and runs; the sandbox when None.

    Raises
    ------
    UserError
        The task is at fault: its reference fails, or it cannot tell right from wrong.
    InfraError
        The machine is at fault; the candidate is not scored.
    """
    with nullcontext(laboratory) if laboratory else SandboxLaboratory() as place:
        verification = Verification(
            task, candidate, device, seed=seed, laboratory=place, limits=limits, on_check=on_check
        )
        return verification.verdict()
