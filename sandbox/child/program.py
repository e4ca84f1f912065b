"""The seam between a child's loop and what runs a candidate on one kind of device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sandbox.protocol import BenchRequest, CallRequest
from sandbox.values import Execution, Tensor


class Program(Protocol):
    """A loaded candidate."""

    def call(self, request: CallRequest, arguments: Sequence[Tensor]) -> Execution:
        """Run it once."""

    def bench(self, request: BenchRequest, argument_sets: Sequence[Sequence[Tensor]]) -> Execution:
        """Time it."""
