"""The evaluations of one round: at the same time, each source once, results asked for in slot order."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from agent.retrying import Evaluated, evaluate_with_retries
from agent.seeding import derive_seed
from agent.settings import AgentSettings
from agent.values import Evaluator, Outcome
from dataset.values import AttemptRecord, RunConfig
from sandbox.values import Candidate


class Evaluations:
    """A small pool over an evaluator; a context manager that waits for what is under way.

    Parameters
    ----------
    evaluator
        Judges a candidate; called from the pool's threads.
    config
        The run's task, device and seed.
    settings
        Size of the pool, and retries.
    history
        Earlier attempts of the run: a source among them is not evaluated again.
    """

    def __init__(
        self, evaluator: Evaluator, config: RunConfig, settings: AgentSettings, history: Sequence[AttemptRecord]
    ) -> None:
        self._evaluator = evaluator
        self._config = config
        self._settings = settings
        self._pool = ThreadPoolExecutor(settings.evaluations, thread_name_prefix="evaluation")
        self._known = {a.candidate.content_hash: a for a in history if a.candidate is not None}
        self._under_way: dict[str, tuple[int, Future[Evaluated]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def start(self, attempt: AttemptRecord) -> None:
        """Start evaluating, unless there is nothing to evaluate or the source is known or under way."""
        candidate = attempt.candidate
        if candidate is None:
            return
        if attempt.verdict is not None:
            self._known.setdefault(candidate.content_hash, attempt)
            return
        if candidate.content_hash not in self._known and candidate.content_hash not in self._under_way:
            future = self._pool.submit(self._evaluate, candidate)
            self._under_way[candidate.content_hash] = (attempt.number, future)

    def result(self, attempt: AttemptRecord) -> Evaluated:
        """Wait for a started attempt's outcome; a duplicate gets the outcome of the first attempt of its source.

        Raises
        ------
        InfraError
            Every try failed for the machine's fault.
        UserError
            The task cannot be run.
        """
        if attempt.candidate is None:
            raise ValueError(f"attempt {attempt.number} has nothing to evaluate")
        source = attempt.candidate.content_hash
        known = self._known.get(source)
        if known is not None and known.verdict is not None:
            return Evaluated(
                outcome=Outcome(verdict=known.verdict, measurement=known.measurement), same_as=known.number
            )
        number, future = self._under_way[source]
        evaluated = future.result()
        return evaluated if number == attempt.number else Evaluated(outcome=evaluated.outcome, same_as=number)

    def _evaluate(self, candidate: Candidate) -> Evaluated:
        return evaluate_with_retries(
            self._evaluator,
            self._config.task,
            candidate,
            self._config.device,
            # By source and not by attempt: the same source meets the same secret values, whenever it is judged.
            derive_seed(self._config.seed, "evaluate", candidate.content_hash),
            retries=self._settings.evaluation_retries,
            wait_seconds=self._settings.evaluation_retry_seconds,
        )
