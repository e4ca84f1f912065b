"""A run's events as they happen: server-sent events, read from the archive that the worker writes to."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
from anyio.to_thread import run_sync
from sse_starlette import ServerSentEvent

from dataset.archive import ENDED, Archive
from dataset.values import RunEvent, RunRecord
from tasks.values import Value

_POLL_SECONDS = 0.3


class Step(Value):
    """What one look at the archive found."""

    run: RunRecord
    events: tuple[RunEvent, ...]


async def stream(archive: Archive, run_id: str, after: int) -> AsyncIterator[ServerSentEvent]:
    """Yield the run's events past `after`, then follow it until it has ended.

    Events are named `progress`, their data is a `RunEvent`, their identifier its sequence: a client that lost
    the connection resumes with `Last-Event-ID`. The last one is named `end`, its data is the state.
    """
    ended = False
    while True:
        step = await run_sync(_look, archive, run_id, after)
        for event in step.events:
            yield ServerSentEvent(event.model_dump_json(), event="progress", id=str(event.sequence))
            after = event.sequence
        if ended and step.run.state in ENDED:
            yield ServerSentEvent(step.run.state.value, event="end")
            return
        # A worker writes the event of the end just after the state: look once more.
        ended = step.run.state in ENDED
        await anyio.sleep(_POLL_SECONDS)


def _look(archive: Archive, run_id: str, after: int) -> Step:
    return Step(run=archive.run(run_id), events=archive.events(run_id, after))
