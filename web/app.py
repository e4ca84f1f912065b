"""The application: gate, API, pages and static files over one archive and one backend."""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from importlib.metadata import version

from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from dataset.archive import Archive
from web import api, pages
from web.backend import Backend
from web.errors import envelope, install, is_api, status_of
from web.gate import LOOPBACK, Gate
from web.rendering import Renderer
from web.values import Problem

_DESCRIPTION = "From a PyTorch op to a verified, faster GPU kernel. Every error has the body of `ErrorEnvelope`."


def create_app(archive: Archive, backend: Backend, *, hosts: Collection[str] = LOOPBACK) -> FastAPI:
    """Return the web application.

    Parameters
    ----------
    archive
        What is shown and where runs are cancelled.
    backend
        Starts runs and reads tasks.
    hosts
        Host names, without ports, that browsers may use for this server.
    """
    # Its own documentation pages would load their scripts from elsewhere: docs/api.md stands in for them.
    app = FastAPI(
        title="Kernelwright",
        description=_DESCRIPTION,
        version=version("kernelwright"),
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    renderer = Renderer()

    def error_page(_request: Request, status: HTTPStatus, problem: Problem) -> Response:
        return renderer.page("error.html", {"problem": problem, "status": status}, status)

    def refuse(request: Request, problem: Problem) -> Response:
        return envelope(problem) if is_api(request) else error_page(request, status_of(problem), problem)

    install(app, error_page)
    app.include_router(api.router(archive, backend))
    app.include_router(pages.router(archive, backend, renderer))
    app.mount("/static", StaticFiles(packages=[("web", "static")]))
    app.add_middleware(Gate, hosts=hosts, refuse=refuse)
    return app
