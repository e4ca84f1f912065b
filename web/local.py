"""The backend of a real server: Celery's queue, the sandbox, and this machine's devices."""

from __future__ import annotations

import threading

from agent.jobs import broker_finding, submit_run
from agent.proposers import endpoint_finding, open_proposer
from dataset.archive import Archive, database_finding
from dataset.values import RunConfig, RunRecord
from sandbox.devices import find_gpus, parse_device
from sandbox.reference import SandboxProber
from sandbox.toolchain import findings
from sandbox.values import Finding
from simgpu.specs import known_devices
from tasks.loading import library, load_task
from tasks.values import Task


class LocalBackend:
    """Implements `web.backend.Backend` with the rooms below.

    Parameters
    ----------
    archive
        Where runs are recorded; the worker opens the same database.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        # Examining an op imports PyTorch in a process of its own: several at once would need gigabytes.
        self._examining = threading.Lock()

    def submit(self, config: RunConfig) -> RunRecord:
        """Record a run and queue it for a worker."""
        return submit_run(self._archive, config)

    def load(self, name: str) -> Task:
        """Return the task of a file or slug; a file's code runs only in the sandbox."""
        with self._examining:
            return load_task(name, SandboxProber())

    def library(self) -> tuple[Task, ...]:
        """Return the tasks of the library."""
        return library()

    def devices(self) -> tuple[str, ...]:
        """Return `auto`, the GPUs of this machine, then the simulated cards."""
        gpus = (f"cuda:{gpu.index}" for gpu in find_gpus())
        return ("auto", *gpus, *(f"sim:{name}" for name in known_devices()))

    def device_name(self, name: str) -> str:
        """Return the device that a name stands for."""
        return parse_device(name).name

    def model_name(self, name: str | None) -> str:
        """Return the proposer that a name stands for."""
        return open_proposer(name).name

    def findings(self) -> tuple[Finding, ...]:
        """Return what this machine has and lacks."""
        return (*findings(), database_finding(), broker_finding(), endpoint_finding())
