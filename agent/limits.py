"""The limits of a run: money, tokens, time. Reaching one ends the run cleanly; it is no failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from enum import StrEnum

from dataset.values import RunConfig, Trace


class Limit(StrEnum):
    """What a run may run out of."""

    USD = "usd"
    TOKENS = "tokens"
    SECONDS = "seconds"


class LimitReachedError(Exception):
    """A limit is reached; the text is the sentence for the run's message."""

    def __init__(self, limit: Limit, message: str) -> None:
        super().__init__(message)
        self.limit = limit


class Limits:
    """What a run may use, and what it has used.

    Money and tokens count from the run's beginning, earlier sittings included; time counts from this object's
    creation, so that a run that is resumed has its `max_seconds` again.

    Parameters
    ----------
    config
        Holds the limits.
    spent
        Traces of the attempts that are recorded already.
    clock
        Monotonic seconds.
    """

    def __init__(
        self, config: RunConfig, spent: Iterable[Trace] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config
        self._clock = clock
        self._start = clock()
        self._lock = threading.Lock()
        self.usd = 0.0
        self.tokens = 0
        for trace in spent:
            self.add(trace)

    def add(self, trace: Trace) -> None:
        """Count what a proposal used."""
        with self._lock:
            self.usd += trace.cost_usd
            self.tokens += trace.input_tokens + trace.output_tokens

    @property
    def bind_calls(self) -> bool:
        """Whether what one call uses decides on the next."""
        return self._config.budget_usd is not None or self._config.budget_tokens is not None

    def check(self) -> None:
        """Pass when another attempt may be started.

        Raises
        ------
        LimitReachedError
            A limit is used up.
        """
        config = self._config
        if config.budget_usd is not None and self.usd >= config.budget_usd:
            raise LimitReachedError(
                Limit.USD, f"stopped at its budget: {self.usd:.4f} of {config.budget_usd:g} USD spent"
            )
        if config.budget_tokens is not None and self.tokens >= config.budget_tokens:
            raise LimitReachedError(
                Limit.TOKENS, f"stopped at its budget: {self.tokens} of {config.budget_tokens} tokens used"
            )
        if config.max_seconds is not None and self._clock() - self._start >= config.max_seconds:
            raise LimitReachedError(Limit.SECONDS, f"stopped after its {config.max_seconds:g} seconds")
