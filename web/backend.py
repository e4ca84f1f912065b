"""The seam between the pages and the machine: what starts runs, reads tasks and knows the devices."""

from __future__ import annotations

from typing import Protocol

from dataset.values import RunConfig, RunRecord
from sandbox.values import Finding
from tasks.values import Task


class Backend(Protocol):
    """Everything that the web asks of the rooms below, besides the archive."""

    def submit(self, config: RunConfig) -> RunRecord:
        """Record a run and queue it for a worker; returns at once.

        Raises
        ------
        InfraError
            The queue cannot be reached.
        """

    def load(self, name: str) -> Task:
        """Return the task of a `.py` file or a library slug; a file's code runs only in a sandbox.

        Raises
        ------
        UserError
            The file states no usable op, or there is no such task.
        """

    def library(self) -> tuple[Task, ...]:
        """Return the tasks of the library."""

    def devices(self) -> tuple[str, ...]:
        """Return the names to choose from, `auto` first."""

    def device_name(self, name: str) -> str:
        """Return the device that a name stands for.

        Raises
        ------
        UserError
            There is no such device here.
        """

    def model_name(self, name: str | None) -> str:
        """Return the proposer that a name stands for; None is the configured one.

        Raises
        ------
        UserError
            The proposer cannot be used as things are configured.
        """

    def findings(self) -> tuple[Finding, ...]:
        """Return what this machine has and lacks."""
