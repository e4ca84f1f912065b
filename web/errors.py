"""One shape for every error: the JSON envelope under /api, a page elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from dataset.queries import NotFoundError
from tasks.errors import InfraError, KernelwrightError
from web.values import ErrorEnvelope, ErrorKind, Problem

ErrorPage = Callable[[Request, HTTPStatus, Problem], Response]

_STATUS = {
    ErrorKind.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorKind.INVALID: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorKind.USER: HTTPStatus.BAD_REQUEST,
    ErrorKind.FORBIDDEN: HTTPStatus.FORBIDDEN,
    ErrorKind.METHOD: HTTPStatus.METHOD_NOT_ALLOWED,
    ErrorKind.INFRA: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorKind.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_REMEDY = {
    ErrorKind.NOT_FOUND: "GET /api/runs, /api/kernels and /api/tasks list what there is.",
    ErrorKind.INVALID: "GET /api/openapi.json describes every request.",
    ErrorKind.METHOD: "GET /api/openapi.json describes every request.",
    ErrorKind.INTERNAL: "The server's log says more; please report it.",
}


def problem_of(error: Exception) -> Problem:
    """Return what an exception comes to for whoever asked."""
    kind, message = _read(error)
    return Problem(kind=kind, message=message, remedy=_REMEDY.get(kind))


def status_of(problem: Problem) -> HTTPStatus:
    """Return the HTTP status of a problem."""
    return _STATUS[problem.kind]


def envelope(problem: Problem) -> JSONResponse:
    """Return the JSON response of a problem."""
    body = ErrorEnvelope(error=problem).model_dump(mode="json", exclude_none=True)
    return JSONResponse(body, status_code=status_of(problem))


def install(app: FastAPI, page: ErrorPage) -> None:
    """Answer every exception in the one shape; `page` renders it for people."""

    def respond(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if is_api(request):
            return envelope(problem)
        return page(request, status_of(problem), problem)

    for kind in (KernelwrightError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, respond)


def is_api(request: Request) -> bool:
    """Tell whether a request is a program's: its errors are JSON."""
    path = request.url.path
    return path == "/api" or path.startswith("/api/")


def invalid_fields(error: RequestValidationError | ValidationError) -> str:
    """Return one sentence that names each field that is not legal."""
    parts = []
    for detail in error.errors():
        places = [str(part) for part in detail["loc"] if part not in {"body", "query", "path"}]
        said = str(detail["msg"]).removeprefix("Value error, ")
        parts.append(f"{'.'.join(places)}: {said}" if places else said)
    return "; ".join(parts)


def _read(error: Exception) -> tuple[ErrorKind, str]:
    if isinstance(error, NotFoundError):
        return ErrorKind.NOT_FOUND, str(error)
    if isinstance(error, InfraError):
        return ErrorKind.INFRA, str(error)
    if isinstance(error, KernelwrightError):
        return ErrorKind.USER, str(error)
    if isinstance(error, RequestValidationError | ValidationError):
        return ErrorKind.INVALID, invalid_fields(error)
    if isinstance(error, HTTPException):
        return _read_http(error)
    return ErrorKind.INTERNAL, "Kernelwright failed at this request."


def _read_http(error: HTTPException) -> tuple[ErrorKind, str]:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return ErrorKind.NOT_FOUND, "There is nothing at this address."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return ErrorKind.METHOD, "This address does not take that method."
    if error.status_code == HTTPStatus.FORBIDDEN:
        return ErrorKind.FORBIDDEN, str(error.detail)
    return ErrorKind.INVALID, str(error.detail)
