"""The JSON API under /api. Each endpoint's errors have the one envelope (see `web.errors`)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, status
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from pydantic import NonNegativeInt
from sse_starlette import EventSourceResponse

from dataset.archive import Archive
from dataset.export import chat_line, chat_rows
from dataset.values import AttemptRecord, RunRecord
from tasks.values import Task
from web.backend import Backend
from web.listing import unified
from web.lookup import cancel_run, find_kernel, find_task, kernel_summaries, run_summaries
from web.progress import stream
from web.submission import start_run
from web.values import (
    AttemptList,
    DeviceList,
    ErrorEnvelope,
    Health,
    KernelDiff,
    KernelList,
    RunList,
    RunRequest,
    TaskList,
    TaskSummary,
)

RunId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,32}$", description="Run identifier")]
AttemptNumber = Annotated[int, Path(ge=0, le=2**31 - 1, description="Position in the run")]
KERNEL_NAME = r"^[A-Za-z0-9_-]{1,32}:[0-9]{1,9}$"
KernelName = Annotated[str, Query(pattern=KERNEL_NAME, description="`RUN:NUMBER`")]
Slug = Annotated[str | None, Query(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$", description="Slug of a task")]
Limit = Annotated[int, Query(ge=1, le=1000)]


def router(archive: Archive, backend: Backend) -> APIRouter:
    """Return the API's routes over one archive and one backend."""
    routes = APIRouter(
        prefix="/api",
        responses={"default": {"model": ErrorEnvelope, "description": "Any error"}},
        generate_unique_id_function=_operation_name,
    )
    _add_runs(routes, archive, backend)
    _add_attempts(routes, archive)
    _add_machine(routes, backend)
    return routes


def _operation_name(route: APIRoute) -> str:
    return route.name


def _add_runs(routes: APIRouter, archive: Archive, backend: Backend) -> None:
    @routes.get("/runs")
    def list_runs(limit: Limit = 50) -> RunList:
        """List the newest runs."""
        return RunList(runs=run_summaries(archive, limit))

    @routes.post("/runs", status_code=status.HTTP_201_CREATED)
    def create_run(request: RunRequest) -> RunRecord:
        """Start a run for an op given as source, or for a library task. The source is executed only in a sandbox."""
        return start_run(backend, request)

    @routes.get("/runs/{run_id}")
    def show_run(run_id: RunId) -> RunRecord:
        """Show a run, its whole configuration included."""
        return archive.run(run_id)

    @routes.post("/runs/{run_id}/cancel")
    def cancel(run_id: RunId) -> RunRecord:
        """Stop a run after the attempts that are under way; what it found is kept."""
        return cancel_run(archive, run_id)

    @routes.get(
        "/runs/{run_id}/events",
        response_class=EventSourceResponse,
        responses={200: {"content": {"text/event-stream": {}}, "description": "`progress` events, then one `end`"}},
    )
    def follow_run(
        run_id: RunId,
        after: NonNegativeInt = 0,
        last_event_id: Annotated[NonNegativeInt | None, Header()] = None,
    ) -> EventSourceResponse:
        """Follow a run's progress as server-sent events, from the event past `after` or `Last-Event-ID`."""
        archive.run(run_id)
        return EventSourceResponse(stream(archive, run_id, after if last_event_id is None else last_event_id))


def _add_attempts(routes: APIRouter, archive: Archive) -> None:
    @routes.get("/runs/{run_id}/attempts")
    def list_attempts(run_id: RunId) -> AttemptList:
        """List a run's attempts, whole: kernels, traces, verdicts and measurements."""
        return AttemptList(attempts=archive.attempts(run_id))

    @routes.get("/runs/{run_id}/attempts/{number}")
    def show_attempt(run_id: RunId, number: AttemptNumber) -> AttemptRecord:
        """Show one attempt."""
        return archive.attempt(run_id, number)

    @routes.get("/kernels")
    def list_kernels(
        task: Slug = None,
        *,
        every: Annotated[bool, Query(alias="all", description="Also those that did not pass.")] = False,
        limit: Limit = 100,
    ) -> KernelList:
        """List kernels, fastest first within one task, basis and device."""
        return KernelList(kernels=kernel_summaries(archive, task, passed_only=not every, limit=limit))

    @routes.get("/kernels/diff")
    def diff_kernels(left: KernelName, right: KernelName) -> KernelDiff:
        """Show what changed from one kernel to another."""
        pair = [find_kernel(archive, name) for name in (left, right)]
        return KernelDiff(left=left, right=right, diff=unified(*pair))

    @routes.get("/kernels/{name}")
    def show_kernel(name: Annotated[str, Path(pattern=KERNEL_NAME, description="`RUN:NUMBER`")]) -> AttemptRecord:
        """Show the kernel called `RUN:NUMBER`; the same as the attempt."""
        return find_kernel(archive, name)

    @routes.get(
        "/export/chat.jsonl",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/x-ndjson": {}}, "description": "One chat per line"}},
    )
    def export_chat() -> StreamingResponse:
        """Download every kernel that passed as chats for fine-tuning, one JSON document per line."""
        return chat_download(archive)


def _add_machine(routes: APIRouter, backend: Backend) -> None:
    @routes.get("/tasks")
    def list_tasks() -> TaskList:
        """List the library's tasks."""
        return TaskList(
            tasks=tuple(
                TaskSummary(slug=task.slug, title=task.title, direction=task.direction, licence=task.provenance.licence)
                for task in backend.library()
            )
        )

    @routes.get("/tasks/{slug}")
    def show_task(slug: str) -> Task:
        """Show a library task: reference source, sizes, workloads."""
        return find_task(backend, slug)

    @routes.get("/devices")
    def list_devices() -> DeviceList:
        """List the devices to choose from."""
        return DeviceList(devices=backend.devices())

    @routes.get("/health")
    def health() -> Health:
        """Say what this machine has and lacks."""
        findings = backend.findings()
        healthy = all(finding.ok or not finding.required for finding in findings)
        return Health(healthy=healthy, version=version("kernelwright"), findings=findings)


def chat_download(archive: Archive) -> StreamingResponse:
    """Return the chat export as a download."""

    def lines() -> Iterator[str]:
        for row in chat_rows(archive):
            yield chat_line(row)

    disposition = 'attachment; filename="kernelwright-chat.jsonl"'
    return StreamingResponse(lines(), media_type="application/x-ndjson", headers={"Content-Disposition": disposition})
