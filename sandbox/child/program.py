"""The seam between a child's loop and what runs a candidate on one kind of device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sandbox.protocol import BenchRequest, CallRequest
from sandbox.values import Execution, ExitState, Tensor


class LoadError(Exception):
    """The candidate cannot be loaded.

    Parameters
    ----------
    state
        What that makes of every call.
    message
        Why.
    """

    def __init__(self, state: ExitState, message: str) -> None:
        super().__init__(message)
        self.state = state
        self.message = message


class Program(Protocol):
    """A loaded candidate."""

    def call(self, request: CallRequest, arguments: Sequence[Tensor]) -> Execution:
        """Run it once."""

    def bench(self, request: BenchRequest, argument_sets: Sequence[Sequence[Tensor]]) -> Execution:
        """Time it."""
