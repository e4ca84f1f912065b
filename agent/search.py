"""The search: translate, repair, evolve. Every step is recorded before it is acted upon.

A run that is killed at any moment and started again makes the same attempts as one that was not: the plan is
replayed (`agent.plan`), a recorded proposal is never asked for again, a recorded outcome never evaluated again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack

from agent.calls import in_order
from agent.evaluations import Evaluations
from agent.feedback import feedback_for
from agent.limits import LimitReachedError, Limits
from agent.locks import LockHeldError, held_now
from agent.plan import Step, follow_up, open_generation
from agent.redaction import public_measurement, public_task, public_verdict
from agent.retrying import Evaluated
from agent.selection import ranked
from agent.settings import AgentSettings
from agent.values import OFFLINE, Evaluator, Parent, Proposal, ProposalRequest, Proposer
from dataset.archive import Archive
from dataset.values import AttemptRecord, Operator, RunEvent, RunRecord, RunState, TraceKind
from tasks.errors import InfraError, UserError

OnEvent = Callable[[RunEvent], None]


class RunBusyError(UserError):
    """Another process, or another thread of this one, is working on the run."""


class RunCancelledError(Exception):
    """Somebody set the run's state to cancelled."""


class StopRequestedError(Exception):
    """The process is asked to end; the run is to go on in another one."""


ENDINGS = (LimitReachedError, RunCancelledError, StopRequestedError, UserError, InfraError)
"""What ends a sitting in an orderly way."""


def run_lock(run_id: str) -> str:
    """Return the name of the lock that a process holds while it works on a run."""
    return f"run-{run_id}"


def never() -> bool:
    """Return False: nobody asks the process to end."""
    return False


def run_search(
    archive: Archive,
    run_id: str,
    proposer: Proposer,
    *,
    evaluator: Evaluator,
    on_event: OnEvent | None = None,
    stop_requested: Callable[[], bool] = never,
    settings: AgentSettings | None = None,
) -> RunRecord:
    """Work on a run until it is finished, failed or cancelled; go on from whatever is recorded.

    Parameters
    ----------
    archive
        Where the run stands and everything is recorded.
    run_id
        The run; whatever its state, it is taken up.
    proposer
        Writes the candidates.
    evaluator
        Judges them.
    on_event
        Called with each event after it is recorded.
    stop_requested
        Asked between attempts: when it says yes, the run is left queued for another process.
    settings
        How many evaluations run at once and how often they are tried; read from the environment when None.

    Returns
    -------
    The run as it ended. A limit that was reached ends it as finished; an error of the machine, of the endpoint or
    of the user ends it as failed, with the sentence, and it can be resumed.

    Raises
    ------
    UserError
        The run is unknown.
    RunBusyError
        Another process is working on it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(held_now(run_lock(run_id)))
        except LockHeldError as error:
            raise RunBusyError(f"run {run_id} is being worked on by another process") from error
        return Search(
            archive,
            run_id,
            proposer,
            evaluator=evaluator,
            on_event=on_event,
            stop_requested=stop_requested,
            settings=settings or AgentSettings.load(),
        ).run()


class Search:
    """One sitting of work on a run."""

    def __init__(
        self,
        archive: Archive,
        run_id: str,
        proposer: Proposer,
        *,
        evaluator: Evaluator,
        on_event: OnEvent | None,
        stop_requested: Callable[[], bool],
        settings: AgentSettings,
    ) -> None:
        self.archive = archive
        self.run_id = run_id
        self.config = archive.run(run_id).config
        self.proposer = proposer
        self.evaluator = evaluator
        self.settings = settings
        self.on_event = on_event
        self.stop_requested = stop_requested
        self.recorded = {attempt.number: attempt for attempt in archive.attempts(run_id)}
        self._ending: Exception | None = None
        """Why no further call of the proposer is made."""
        self.history: list[AttemptRecord] = []
        """The attempts that the plan has replayed or made, complete, by number."""
        self.limits = Limits(self.config, (attempt.trace for attempt in self.recorded.values()))

    def run(self) -> RunRecord:
        """Work through the generations and record how it ended."""
        if not self._begin():
            return self.archive.run(self.run_id)
        try:
            for generation in range(self.config.generations + 1):
                self._generation(generation)
        except LimitReachedError as reached:
            self._set_state(RunState.FINISHED, str(reached))
        except StopRequestedError:
            self._set_state(RunState.QUEUED, "waits for a worker to go on with it")
        except RunCancelledError:
            self._event("state", RunState.CANCELLED.value)
        except (UserError, InfraError) as error:
            self._set_state(RunState.FAILED, str(error))
        except KeyboardInterrupt:
            self._set_state(RunState.CANCELLED, "interrupted")
            raise
        else:
            self._set_state(RunState.FINISHED, "" if ranked(self.history) else "no candidate passed")
        return self.archive.run(self.run_id)

    def _begin(self) -> bool:
        """Take the run up, unless it is cancelled at this very moment; one that had ended before is meant to go on."""
        meant = self.archive.run(self.run_id).state in {RunState.FINISHED, RunState.FAILED, RunState.CANCELLED}
        return self._set_state(RunState.RUNNING, even_if_cancelled=meant)

    def _generation(self, generation: int) -> None:
        steps = open_generation(self.config, generation, self.history)
        while steps:
            self._round(steps)
            steps = follow_up(self.config, steps, self.history)

    def _round(self, steps: Sequence[Step]) -> None:
        """Make the attempts of one round; the evaluation of one overlaps with the proposals of the next."""
        attempts: list[AttemptRecord] = []
        stop: Exception | None = None
        answers = in_order(self._ask, [step for step in steps if step.number not in self.recorded], self._width)
        with Evaluations(self.evaluator, self.config, self.settings, self.history) as evaluations:
            for step in steps:
                try:
                    attempt = self.recorded.get(step.number) or self._propose(step, next(answers))
                except ENDINGS as reason:
                    stop = stop or reason
                    continue
                attempts.append(attempt)
                evaluations.start(attempt)
            # Whatever stopped the proposals, the ones that were made are judged: they are paid for.
            for attempt in attempts:
                self._fold(attempt, evaluations)
        if stop is not None:
            raise stop

    @property
    def _width(self) -> int:
        """How many calls of the proposer may be under way: one where a budget is to be checked before each."""
        alone = self.config.model == OFFLINE or self.limits.bind_calls
        return 1 if alone else self.settings.model_calls

    def _ask(self, step: Step) -> Proposal:
        """Make one call, unless the run is to stop; once it is, no other call of the round begins."""
        if self._ending is not None:
            raise self._ending
        try:
            self._check_stopped()
            self.limits.check()
            proposal = self.proposer.propose(self._request(step))
        except ENDINGS as reason:
            self._ending = reason
            raise
        self.limits.add(proposal.trace)
        return proposal

    def _propose(self, step: Step, answer: Future[Proposal]) -> AttemptRecord:
        """Record one proposal, before anything is done with it."""
        proposal = answer.result()
        attempt = self.archive.record_proposal(
            self.run_id,
            step.number,
            generation=step.generation,
            operator=step.operator,
            parents=step.parents,
            candidate=proposal.candidate,
            problem=proposal.problem,
            trace=proposal.trace,
        )
        self._event("proposed", _proposed(step, proposal), step.number)
        self._note_unknown_price(attempt)
        return attempt

    def _request(self, step: Step) -> ProposalRequest:
        parents = tuple(self._parent(number) for number in step.parents)
        return ProposalRequest(
            task=public_task(self.config.task),
            device=self.config.device,
            operator=step.operator,
            parents=parents,
            feedback="\n\n".join(feedback_for(parent) for parent in parents),
            seed=step.seed,
            ordinal=step.ordinal,
        )

    def _parent(self, number: int) -> Parent:
        attempt = self.history[number]
        if attempt.candidate is None or attempt.verdict is None:
            raise InfraError(f"attempt {number} is a parent and has no candidate: the archive was changed from outside")
        task, measurement = self.config.task, attempt.measurement
        return Parent(
            attempt=number,
            candidate=attempt.candidate,
            verdict=public_verdict(attempt.verdict, task),
            measurement=None if measurement is None else public_measurement(measurement, task),
        )

    def _fold(self, attempt: AttemptRecord, evaluations: Evaluations) -> None:
        """Take one attempt's outcome into the history, in slot order."""
        if attempt.candidate is not None and attempt.verdict is None:
            self._check_stopped()
            evaluated = evaluations.result(attempt)
            attempt = self._record(attempt, evaluated)
        self.history.append(attempt)
        self._update_best()

    def _record(self, attempt: AttemptRecord, evaluated: Evaluated) -> AttemptRecord:
        for failure in evaluated.failures:
            self._note(f"attempt {attempt.number} was evaluated again: {failure}", attempt.number)
        outcome = evaluated.outcome
        self.archive.record_outcome(self.run_id, attempt.number, outcome.verdict, outcome.measurement)
        if evaluated.same_as is not None:
            self._note(f"attempt {attempt.number} is the same source as {evaluated.same_as}", attempt.number)
        text = f"attempt {attempt.number}: {outcome.verdict.status.value.replace('_', ' ')}"
        if outcome.measurement is not None:
            text += f", {outcome.measurement.speedup:.2f}x ({outcome.measurement.basis.value})"
        self._event("evaluated", text, attempt.number)
        return attempt.model_copy(update={"verdict": outcome.verdict, "measurement": outcome.measurement})

    def _update_best(self) -> None:
        ranking = ranked(self.history)
        if not ranking:
            return
        best = ranking[0]
        if self.archive.run(self.run_id).best_attempt != best.attempt.number:
            self.archive.set_best(self.run_id, best.attempt.number)
            self._event("best", f"best so far: attempt {best.attempt.number}, {best.speedup:.2f}x", best.attempt.number)

    def _note_unknown_price(self, attempt: AttemptRecord) -> None:
        """Say once per run that its cost is not known, so that 0 is not read as free."""
        trace = attempt.trace
        used = trace.kind is TraceKind.MODEL and trace.output_tokens > 0
        if attempt.number == 0 and used and trace.cost_usd == 0:
            self._note(f"no price is known for {trace.model}: costs count as 0 and a budget in USD does not bind")

    def _check_stopped(self) -> None:
        if self.stop_requested():
            raise StopRequestedError
        if self.archive.run(self.run_id).state is RunState.CANCELLED:
            raise RunCancelledError

    def _set_state(self, state: RunState, message: str = "", *, even_if_cancelled: bool = False) -> bool:
        kept = () if even_if_cancelled else {RunState.CANCELLED}
        changed = self.archive.set_state(self.run_id, state, message, unless=kept).state is state
        if changed:
            self._event("state", f"{state.value}: {message}" if message else state.value)
        return changed

    def _note(self, text: str, attempt: int | None = None) -> None:
        self._event("note", text, attempt)

    def _event(self, kind: str, text: str, attempt: int | None = None) -> None:
        event = self.archive.add_event(self.run_id, kind, text, attempt)
        if self.on_event is not None:
            self.on_event(event)


def _proposed(step: Step, proposal: Proposal) -> str:
    origin = f" of {' and '.join(map(str, step.parents))}" if step.parents else ""
    name = "translation" if step.operator is Operator.TRANSLATE else step.operator.value
    ending = f": {proposal.problem}" if proposal.candidate is None else ""
    return f"attempt {step.number}: {name}{origin}{ending}"
