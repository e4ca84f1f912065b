"""One way of holding processes as the choice between them sees it: whether it works here, and what helps if not."""

from __future__ import annotations

from typing import Protocol

from sandbox.holding import Isolation
from sandbox.values import Finding


class Rung(Protocol):
    """A way of holding processes that may or may not work on this machine."""

    @property
    def name(self) -> str:
        """`bubblewrap` or `docker`."""

    def isolation(self) -> Isolation:
        """Return it, once its self-test has found no hole.

        Raises
        ------
        SandboxUnavailableError
            It does not hold here; nothing of a candidate's was started.
        """

    def findings(self) -> tuple[Finding, ...]:
        """Say for `doctor` whether it works, each program of it on its own."""
