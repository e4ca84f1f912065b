"""What one sitting of work on a run writes to the archive, and tells whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.plan import Step
from agent.retrying import Evaluated
from agent.selection import ranked
from agent.values import Proposal
from dataset.archive import ENDED, Archive
from dataset.values import AttemptRecord, Operator, RunEvent, RunRecord, RunState, Trace, TraceKind

OnEvent = Callable[[RunEvent], None]


class Journal:
    """The record of one run.

    Parameters
    ----------
    archive
        Where it stands.
    run_id
        The run.
    on_event
        Called with each event after it is recorded.

    Raises
    ------
    UserError
        The run is unknown.
    """

    def __init__(self, archive: Archive, run_id: str, on_event: OnEvent | None) -> None:
        self._archive = archive
        self._run_id = run_id
        self._on_event = on_event
        run = archive.run(run_id)
        self.config = run.config
        self._best = run.best_attempt
        self.attempts = {attempt.number: attempt for attempt in archive.attempts(run_id)}
        """Everything recorded, by number; kept up to date."""

    @property
    def run(self) -> RunRecord:
        """The run as it stands now."""
        return self._archive.run(self._run_id)

    def begin(self) -> bool:
        """Set the run to running, unless it is cancelled at this very moment; return whether it is.

        A run that had already ended is taken up on purpose, also one that was cancelled.
        """
        on_purpose = self.run.state in ENDED
        return self.set_state(RunState.RUNNING, even_if_cancelled=on_purpose)

    def set_state(self, state: RunState, message: str = "", *, even_if_cancelled: bool = False) -> bool:
        """Set the run's state; a cancellation stands unless it is to be overruled. Return whether it was set."""
        kept = () if even_if_cancelled else {RunState.CANCELLED}
        changed = self._archive.set_state(self._run_id, state, message, unless=kept).state is state
        if changed:
            self.event("state", f"{state.value}: {message}" if message else state.value)
        return changed

    def record_proposal(self, step: Step, proposal: Proposal) -> AttemptRecord:
        """Record a proposal, before anything is done with it."""
        attempt = self._archive.record_proposal(
            self._run_id,
            step.number,
            generation=step.generation,
            operator=step.operator,
            parents=step.parents,
            candidate=proposal.candidate,
            problem=proposal.problem,
            trace=proposal.trace,
        )
        self.event("proposed", _proposed(step, proposal), step.number)
        if _unpriced(proposal.trace) and not any(_unpriced(earlier.trace) for earlier in self.attempts.values()):
            model = proposal.trace.model
            self.event("note", f"no price is known for {model}: costs count as 0 and a budget in USD does not bind")
        self.attempts[step.number] = attempt
        return attempt

    def record_outcome(self, attempt: AttemptRecord, evaluated: Evaluated) -> AttemptRecord:
        """Record what came of an attempt, and which attempt is now the fastest."""
        number, outcome = attempt.number, evaluated.outcome
        for failure in evaluated.failures:
            self.event("note", f"attempt {number} was evaluated again: {failure}", number)
        attempt = self._archive.record_outcome(self._run_id, number, outcome.verdict, outcome.measurement)
        if evaluated.same_as is not None:
            self.event("note", f"attempt {number} is the same source as {evaluated.same_as}", number)
        text = f"attempt {number}: {outcome.verdict.status.value.replace('_', ' ')}"
        if outcome.measurement is not None:
            text += f", {outcome.measurement.speedup:.2f}x ({outcome.measurement.basis.value})"
        self.event("evaluated", text, number)
        self.attempts[number] = attempt
        self.update_best()
        return attempt

    def update_best(self) -> None:
        """Record the fastest attempt that passed, if it is another one than before."""
        ranking = ranked([self.attempts[number] for number in sorted(self.attempts)])
        if ranking and ranking[0].attempt.number != self._best:
            self._best = ranking[0].attempt.number
            self._archive.set_best(self._run_id, self._best)
            self.event("best", f"best so far: attempt {self._best}, {ranking[0].speedup:.2f}x", self._best)

    def event(self, kind: str, text: str, attempt: int | None = None) -> None:
        """Record one step of progress and tell it."""
        event = self._archive.add_event(self._run_id, kind, text, attempt)
        if self._on_event is not None:
            self._on_event(event)

    def traces(self) -> Iterable[Trace]:
        """Return the trace of every recorded attempt."""
        return (attempt.trace for attempt in self.attempts.values())


def _unpriced(trace: Trace) -> bool:
    return trace.kind is TraceKind.MODEL and trace.output_tokens > 0 and trace.cost_usd == 0


def _proposed(step: Step, proposal: Proposal) -> str:
    origin = f" of {' and '.join(map(str, step.parents))}" if step.parents else ""
    name = "translation" if step.operator is Operator.TRANSLATE else step.operator.value
    ending = f": {proposal.problem}" if proposal.candidate is None else ""
    return f"attempt {step.number}: {name}{origin}{ending}"
