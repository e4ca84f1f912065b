"""A proposer and an evaluator that follow a script: for tests and rehearsals, without model or device."""

from __future__ import annotations

import re
from collections.abc import Callable

from agent.values import Outcome, Proposal, ProposalRequest
from dataset.values import Message, Trace, TraceKind
from sandbox.values import Basis, Candidate, Language, SourceFile
from tasks.values import Task
from verifier.values import Check, Measurement, Status, Verdict, WorkloadTiming

_DIRECTIVE = re.compile(r"//\s*scripted:(?P<words>.*)")


class ScriptedEvaluator:
    """Judges by what the candidate's source asks for, without running anything: for tests and rehearsals.

    A line `// scripted: status=wrong_values` fails, `// scripted: speedup=2.5` passes with that speed-up; a source
    without such a line passes at 1.0. Figures are labelled `modelled`.

    Parameters
    ----------
    before
        Called with each candidate before it is judged; may raise `InfraError`, or wait.
    """

    def __init__(self, before: Callable[[Candidate], None] | None = None) -> None:
        self.evaluated: list[str] = []
        """Hash of each candidate judged, in the order of the calls."""
        self._before = before

    def prepare(self, task: Task) -> None:
        """Begin nothing: judging takes no time here."""

    def evaluate(self, task: Task, candidate: Candidate, device: str, seed: int) -> Outcome:
        """Return what the source's directive says; see `Evaluator.evaluate`."""
        if self._before is not None:
            self._before(candidate)
        self.evaluated.append(candidate.content_hash)
        match = _DIRECTIVE.search(candidate.files[0].text)
        words = dict(word.split("=", 1) for word in match["words"].split()) if match else {}
        status = Status(words.get("status", Status.PASSED))
        verdict = Verdict(
            status=status,
            task_hash=task.content_hash,
            candidate_hash=candidate.content_hash,
            device=device,
            seed=seed,
            checks=(_scripted_check(status),),
        )
        if not verdict.passed:
            return Outcome(verdict=verdict)
        speedup = float(words.get("speedup", "1.0"))
        return Outcome(verdict=verdict, measurement=_scripted_measurement(candidate, device, speedup))


def _scripted_check(status: Status) -> Check:
    passed = status is Status.PASSED
    return Check(
        name="scripted",
        passed=passed,
        status=None if passed else status,
        detail="" if passed else f"the script says {status.value}",
    )


def _scripted_measurement(candidate: Candidate, device: str, speedup: float) -> Measurement:
    timing = WorkloadTiming(
        workload="scripted",
        samples_us=(100.0 / speedup,),
        median_us=100.0 / speedup,
        baseline_us=100.0,
        floor_us=1.0,
        speedup=speedup,
        roofline_fraction=speedup / 100.0,
    )
    return Measurement(
        basis=Basis.MODELLED,
        device=device,
        fingerprint="scripted",
        candidate_hash=candidate.content_hash,
        timings=(timing,),
        speedup=speedup,
    )


class ScriptedProposer:
    """Writes what a function of the request says; the same request gives the same proposal.

    Parameters
    ----------
    write
        Gives the source of one `.cu`, or None for a proposal without a candidate.
    """

    name = "scripted"

    def __init__(self, write: Callable[[ProposalRequest], str | None]) -> None:
        self.requests: list[ProposalRequest] = []
        """Every request, in the order of the calls."""
        self._write = write

    def propose(self, request: ProposalRequest) -> Proposal:
        """Return the script's proposal; see `agent.values.Proposer`."""
        self.requests.append(request)
        source = self._write(request)
        trace = Trace(
            kind=TraceKind.OFFLINE,
            model=self.name,
            messages=(Message(role="assistant", content=source or ""),),
        )
        if source is None:
            return Proposal(
                operator=request.operator, candidate=None, trace=trace, problem="no code: the script has none"
            )
        candidate = Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=source),))
        return Proposal(operator=request.operator, candidate=candidate, trace=trace)
