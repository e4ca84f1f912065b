"""What a proposer may see: hidden workloads, and whatever a verdict learned from them, are taken out."""

from __future__ import annotations

from sandbox.values import Diagnostic
from tasks.values import Task, Visibility
from verifier.values import Check, Measurement, Verdict

HIDDEN = "hidden"


def public_task(task: Task) -> Task:
    """Return the task without its hidden workloads."""
    return task.model_copy(update={"workloads": tuple(w for w in task.workloads if w.visibility is Visibility.PUBLIC)})


def public_verdict(verdict: Verdict, task: Task) -> Verdict:
    """Return a verdict that tells nothing about hidden workloads except that a check failed there.

    A hidden check keeps its name, its outcome and its status: "wrong values at sizes that you were not shown" is a
    fair hint. Its workload's name (which spells sizes) and its figures go, and so does the seed. A diagnostic does
    not say which workload it comes from, so once a hidden check has failed each one keeps only its kind, kernel and
    source line.

    Parameters
    ----------
    verdict
        As the verifier gave it.
    task
        The whole task, which knows which workloads are public.
    """
    public = {w.name for w in public_task(task).workloads}
    shown = {
        id(check): check.public and (check.workload is None or check.workload in public) for check in verdict.checks
    }
    hidden_failed = any(not check.passed and not shown[id(check)] for check in verdict.checks)
    return verdict.model_copy(
        update={
            "seed": 0,
            "checks": tuple(check if shown[id(check)] else _masked(check) for check in verdict.checks),
            "diagnostics": tuple(_place_only(d) for d in verdict.diagnostics) if hidden_failed else verdict.diagnostics,
        }
    )


def public_measurement(measurement: Measurement, task: Task) -> Measurement:
    """Return a measurement without the timings of hidden workloads; the overall speed-up stays."""
    public = {w.name for w in public_task(task).workloads}
    return measurement.model_copy(update={"timings": tuple(t for t in measurement.timings if t.workload in public)})


def _masked(check: Check) -> Check:
    return check.model_copy(update={"workload": None if check.workload is None else HIDDEN, "detail": ""})


def _place_only(diagnostic: Diagnostic) -> Diagnostic:
    text = f"{diagnostic.kind.replace('_', ' ')} at sizes that are not shown"
    return diagnostic.model_copy(update={"block": None, "thread": None, "message": text})
