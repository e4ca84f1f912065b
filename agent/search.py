"""The search: translate, repair, evolve. Every step is recorded before it is acted upon.

A run that is killed at any moment and started again makes the same attempts as one that was not: the plan is
replayed (`agent.plan`), a recorded proposal is never asked for again, a recorded outcome never evaluated again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack

from agent.asking import request_for
from agent.calls import in_order
from agent.evaluations import Evaluations
from agent.journal import Journal, OnEvent
from agent.limits import LimitReachedError, Limits
from agent.locks import LockHeldError, held_now
from agent.plan import Step, follow_up, open_generation
from agent.selection import ranked
from agent.settings import AgentSettings
from agent.values import OFFLINE, Evaluator, Proposal, Proposer
from dataset.archive import Archive
from dataset.values import AttemptRecord, RunRecord, RunState
from tasks.errors import InfraError, UserError


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
    The run as it ended. A limit that was reached ends it as finished.

    Raises
    ------
    UserError
        The run is unknown, or the endpoint refuses the key or the model: the run is recorded as failed, with the
        sentence, and can be resumed.
    InfraError
        The machine or the endpoint failed on every try; recorded likewise.
    RunBusyError
        Another process is working on it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(held_now(run_lock(run_id)))
        except LockHeldError as error:
            raise RunBusyError(f"run {run_id} is being worked on by another process") from error
        return Search(
            Journal(archive, run_id, on_event),
            proposer,
            evaluator,
            stop_requested=stop_requested,
            settings=settings or AgentSettings.load(),
        ).run()


class Search:
    """One sitting of work on a run."""

    def __init__(
        self,
        journal: Journal,
        proposer: Proposer,
        evaluator: Evaluator,
        *,
        stop_requested: Callable[[], bool],
        settings: AgentSettings,
    ) -> None:
        self.journal = journal
        self.config = journal.config
        self.proposer = proposer
        self.evaluator = evaluator
        self.stop_requested = stop_requested
        self.settings = settings
        self.limits = Limits(self.config, journal.traces())
        self.history: list[AttemptRecord] = []
        """The attempts that the plan has replayed or made, complete, by number."""
        self._ending: Exception | None = None
        """Why no further call of the proposer is made."""

    def run(self) -> RunRecord:
        """Work through the generations and record how it ended."""
        if not self.journal.begin():
            return self.journal.run
        try:
            self.evaluator.prepare(self.config.task)
            for generation in range(self.config.generations + 1):
                self._generation(generation)
        except LimitReachedError as reached:
            self.journal.set_state(RunState.FINISHED, str(reached))
        except StopRequestedError:
            self.journal.set_state(RunState.QUEUED, "waits for a worker to go on with it")
        except RunCancelledError:
            self.journal.event("state", RunState.CANCELLED.value)
        except (UserError, InfraError) as error:
            self.journal.set_state(RunState.FAILED, str(error))
            raise
        except KeyboardInterrupt:
            self.journal.set_state(RunState.CANCELLED, "interrupted")
            raise
        else:
            self.journal.set_state(RunState.FINISHED, "" if ranked(self.history) else "no candidate passed")
        return self.journal.run

    def _generation(self, generation: int) -> None:
        steps = open_generation(self.config, generation, self.history)
        while steps:
            self._round(steps)
            steps = follow_up(self.config, steps, self.history)

    def _round(self, steps: Sequence[Step]) -> None:
        """Make the attempts of one round; the evaluation of one overlaps with the proposals of the next."""
        recorded = dict(self.journal.attempts)
        answers = in_order(self._ask, [step for step in steps if step.number not in recorded], self._width)
        attempts: list[AttemptRecord] = []
        stop: Exception | None = None
        with Evaluations(self.evaluator, self.config, self.settings, self.history) as evaluations:
            for step in steps:
                try:
                    attempt = recorded.get(step.number) or self._record(step, next(answers))
                except ENDINGS as reason:
                    stop = stop or reason
                    continue
                attempts.append(attempt)
                evaluations.start(attempt)
            # Whatever stopped the proposals, the ones that were made are judged: they are paid for.
            for attempt in attempts:
                self.history.append(self._judged(attempt, evaluations))
        self.journal.update_best()
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
            proposal = self.proposer.propose(request_for(step, self.config, self.journal.attempts))
        except ENDINGS as reason:
            self._ending = reason
            raise
        self.limits.add(proposal.trace)
        return proposal

    def _record(self, step: Step, answer: Future[Proposal]) -> AttemptRecord:
        return self.journal.record_proposal(step, answer.result())

    def _judged(self, attempt: AttemptRecord, evaluations: Evaluations) -> AttemptRecord:
        """Return an attempt with its outcome, which is recorded in slot order."""
        if attempt.candidate is None or attempt.verdict is not None:
            return attempt
        self._check_stopped()
        return self.journal.record_outcome(attempt, evaluations.result(attempt))

    def _check_stopped(self) -> None:
        if self.stop_requested():
            raise StopRequestedError
        if self.journal.run.state is RunState.CANCELLED:
            raise RunCancelledError
