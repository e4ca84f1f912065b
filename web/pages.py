"""The pages: server-rendered HTML that works without scripts; a script only keeps a run's page up to date."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from agent.values import OFFLINE
from dataset.archive import ENDED, Archive
from dataset.queries import NotFoundError
from tasks.errors import KernelwrightError, UserError
from web.api import AttemptNumber, KernelName, RunId, Slug, chat_download
from web.backend import Backend
from web.chart import chart
from web.errors import problem_of, status_of
from web.form import SubmittedForm, blank_form, read_form
from web.lineage import lineage
from web.listing import highlight_css, highlighted, listings, unified
from web.lookup import cancel_run, find_kernel, find_task, kernel_summaries, run_summaries
from web.rendering import Renderer
from web.submission import start_run
from web.values import Problem

_RUNS_SHOWN = 20
_KERNELS_SHOWN = 200


def router(archive: Archive, backend: Backend, renderer: Renderer) -> APIRouter:
    """Return the pages' routes over one archive and one backend."""
    routes = APIRouter(include_in_schema=False)
    _add_home(routes, archive, backend, renderer)
    _add_run(routes, archive, renderer)
    _add_kernels(routes, archive, renderer)
    _add_rest(routes, archive, backend, renderer)
    return routes


def _add_home(routes: APIRouter, archive: Archive, backend: Backend, renderer: Renderer) -> None:
    def page(form: SubmittedForm, problem: Problem | None = None) -> HTMLResponse:
        return renderer.page(
            "home.html",
            {
                "form": form,
                "problem": problem,
                "devices": backend.devices(),
                "tasks": backend.library(),
                "runs": run_summaries(archive, _RUNS_SHOWN),
            },
            HTTPStatus.OK if problem is None else status_of(problem),
        )

    @routes.get("/")
    def home(task: Annotated[str, Query(max_length=100)] = "") -> HTMLResponse:
        try:
            return page(blank_form(backend.model_name(None), task))
        except UserError as error:
            # The configured model cannot be used: say so, and offer what always can.
            return page(blank_form(OFFLINE, task), problem_of(error))

    @routes.get("/runs")
    def runs() -> Response:
        return RedirectResponse("/#recent")

    @routes.post("/runs")
    async def submit(request: Request) -> Response:
        form = await read_form(request)
        try:
            run = await run_in_threadpool(lambda: start_run(backend, form.request()))
        except (KernelwrightError, ValidationError) as error:
            # What was typed stands in the form again.
            return await run_in_threadpool(page, form, problem_of(error))
        return RedirectResponse(f"/runs/{run.id}", status_code=303)


def _add_run(routes: APIRouter, archive: Archive, renderer: Renderer) -> None:
    def context(run_id: str) -> dict[str, object]:
        run = archive.run(run_id)
        attempts = archive.attempts(run_id)
        best = next((attempt for attempt in attempts if attempt.number == run.best_attempt), None)
        return {
            "run": run,
            "active": run.state not in ENDED,
            "attempts": attempts,
            "best": best,
            "files": () if best is None else listings(best),
            "chart": chart(attempts),
        }

    @routes.get("/runs/{run_id}")
    def run_page(run_id: RunId) -> HTMLResponse:
        # The events first: the script asks for those after them, so that none is missed.
        events = archive.events(run_id)
        return renderer.page("run.html", {"events": events, **context(run_id)})

    @routes.get("/runs/{run_id}/live")
    def live_part(run_id: RunId) -> HTMLResponse:
        return renderer.page("_live.html", context(run_id))

    @routes.post("/runs/{run_id}/cancel")
    def cancel(run_id: RunId) -> Response:
        cancel_run(archive, run_id)
        return RedirectResponse(f"/runs/{run_id}", status_code=303)

    @routes.get("/runs/{run_id}/attempts/{number}")
    def attempt_page(run_id: RunId, number: AttemptNumber) -> HTMLResponse:
        run = archive.run(run_id)
        attempt = archive.attempt(run_id, number)
        attempts = archive.attempts(run_id)
        parent = next((other for other in attempts if other.number in attempt.parents and other.candidate), None)
        difference = unified(parent, attempt) if parent is not None and attempt.candidate is not None else None
        return renderer.page(
            "attempt.html",
            {
                "run": run,
                "attempt": attempt,
                "files": listings(attempt),
                "parent": parent,
                "diff": None if difference is None else highlighted(difference, "diff"),
                "lineage": lineage(attempt, attempts),
            },
        )

    @routes.get("/runs/{run_id}/attempts/{number}/source")
    def attempt_source(run_id: RunId, number: AttemptNumber) -> Response:
        candidate = archive.attempt(run_id, number).candidate
        if candidate is None:
            msg = f"Attempt {run_id}:{number} holds no kernel."
            raise NotFoundError(msg)
        return PlainTextResponse("\n".join(file.text for file in candidate.files))


def _add_kernels(routes: APIRouter, archive: Archive, renderer: Renderer) -> None:
    @routes.get("/kernels")
    def kernels_page(
        task: Slug = None,
        *,
        every: Annotated[bool, Query(alias="all")] = False,
    ) -> HTMLResponse:
        kernels = kernel_summaries(archive, task, passed_only=not every, limit=_KERNELS_SHOWN)
        return renderer.page(
            "kernels.html", {"kernels": kernels, "task": task, "every": every, "limit": _KERNELS_SHOWN}
        )

    @routes.get("/kernels/diff")
    def diff_page(left: KernelName, right: KernelName) -> HTMLResponse:
        pair = [find_kernel(archive, name) for name in (left, right)]
        difference = unified(*pair)
        return renderer.page(
            "diff.html",
            {"left": pair[0], "right": pair[1], "diff": highlighted(difference, "diff") if difference else None},
        )


def _add_rest(routes: APIRouter, archive: Archive, backend: Backend, renderer: Renderer) -> None:
    @routes.get("/tasks")
    def tasks_page() -> HTMLResponse:
        return renderer.page("tasks.html", {"tasks": backend.library()})

    @routes.get("/tasks/{slug}")
    def task_page(slug: str) -> HTMLResponse:
        task = find_task(backend, slug)
        return renderer.page("task.html", {"task": task, "source": highlighted(task.source, "py")})

    @routes.get("/dataset")
    def dataset_page() -> HTMLResponse:
        return renderer.page("dataset.html", {"counts": archive.counts(), "location": archive.location})

    @routes.get("/dataset/chat.jsonl")
    def download() -> StreamingResponse:
        return chat_download(archive)

    @routes.get("/highlight.css")
    def highlight() -> Response:
        return Response(highlight_css(), media_type="text/css", headers={"Cache-Control": "max-age=3600"})
