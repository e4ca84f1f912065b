"""The real laboratory: the sandbox's compilers, child processes and devices."""

from __future__ import annotations

from contextlib import AbstractContextManager

from sandbox.build import build
from sandbox.candidate import open_candidate
from sandbox.reference import open_reference
from sandbox.values import Build, Candidate, Device, Limits
from tasks.values import Task
from verifier.laboratory import CandidateRunner, ReferenceRunner


class SandboxLaboratory:
    """Builds for the device's architecture and opens one sandboxed child each for candidate and reference."""

    def build(self, candidate: Candidate, device: Device) -> Build:
        """Build, or take the build from the cache; BuildError when the candidate does not build."""
        return build(candidate, device.arch)

    def candidate(self, build: Build, device: Device, limits: Limits | None) -> AbstractContextManager[CandidateRunner]:
        """Open the child that loads the candidate."""
        return open_candidate(build, device, limits=limits)

    def reference(self, task: Task, limits: Limits | None) -> AbstractContextManager[ReferenceRunner]:
        """Open the child that executes the reference."""
        return open_reference(task, limits=limits)
