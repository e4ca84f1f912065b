"""Faults of the machine that the sandbox tells apart; `tasks.errors` draws the tree that they belong to."""

from __future__ import annotations

from tasks.errors import InfraError


class SandboxUnavailableError(InfraError):
    """Nothing that was asked for holds untrusted processes here, so none was started.

    Parameters
    ----------
    problem
        What is wrong, without a full stop.
    remedy
        What helps; empty where nothing is known to.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}. To remedy it: {remedy}" if remedy else problem)
        self.problem = problem
        self.remedy = remedy
