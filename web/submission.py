"""From a request to a queued run. An op's source is written to a file and loaded; it is never executed here."""

from __future__ import annotations

import secrets
from pathlib import Path
from tempfile import TemporaryDirectory

from dataset.values import RunConfig, RunRecord
from tasks.values import Task
from web.backend import Backend
from web.values import RunRequest


def start_run(backend: Backend, request: RunRequest) -> RunRecord:
    """Queue the run that `request` describes.

    Raises
    ------
    UserError
        The op, the device or the proposer cannot be used; the sentence says why.
    InfraError
        The op could not be examined here, or the queue cannot be reached.
    """
    # The cheap questions first: examining an op takes seconds.
    device = backend.device_name(request.device)
    model = backend.model_name(request.model or None)
    config = RunConfig(
        task=_task(backend, request),
        device=device,
        model=model,
        samples=request.samples,
        generations=request.generations,
        population=request.population,
        seed=secrets.randbits(32) if request.seed is None else request.seed,
        budget_usd=request.budget_usd,
        budget_tokens=request.budget_tokens,
        max_seconds=request.max_seconds,
    )
    return backend.submit(config)


def _task(backend: Backend, request: RunRequest) -> Task:
    if request.source is None:
        return backend.load(str(request.task))
    with TemporaryDirectory(prefix="kernelwright-op-") as folder:
        path = Path(folder) / request.filename
        # Browsers send text with CRLF line ends.
        path.write_text(request.source.replace("\r\n", "\n"), encoding="utf-8", newline="\n")
        return backend.load(str(path))
