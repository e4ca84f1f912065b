"""What stands before every request: whose host name, whose form, and what a browser may do with the answer.

The server has no login; on loopback, whoever sits at the machine may use it. What must be kept out is another web
site that the same browser has open: it can send forms here (cross-site request forgery) or make its own name point
here (DNS rebinding).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.values import ErrorKind, Problem

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_LARGEST_BODY = 3 << 20
_HOST = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{1,5})?")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Gate:
    """ASGI middleware that refuses foreign hosts and origins and sets the security headers.

    Parameters
    ----------
    app
        What stands behind.
    hosts
        Host names, without ports, that this server answers to.
    refuse
        Makes the response of a refused request.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], refuse: Callable[[Request, Problem], Response]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        problem = self._problem(scope["method"], Headers(scope=scope))
        app = self._app if problem is None else self._refuse(Request(scope), problem)
        await app(scope, receive, send_with_headers)

    def _problem(self, method: str, headers: Headers) -> Problem | None:
        host = headers.get("host", "")
        if _host_name(host) not in self._hosts:
            message = f"This server does not answer to the host '{host}'."
            return Problem(kind=ErrorKind.FORBIDDEN, message=message, remedy="See KERNELWRIGHT_ALLOWED_HOSTS.")
        if method in _SAFE:
            return None
        if _is_foreign(headers, host):
            return Problem(kind=ErrorKind.FORBIDDEN, message="This request comes from another site.")
        if "transfer-encoding" in headers or int(headers.get("content-length", "0")) > _LARGEST_BODY:
            message = f"A request's body must state its length and have at most {_LARGEST_BODY} bytes."
            return Problem(kind=ErrorKind.INVALID, message=message)
        return None


def _is_foreign(headers: Headers, host: str) -> bool:
    """Tell whether a browser says that another site made the request; programs need not say anything."""
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return True
    return headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}


def _host_name(host: str) -> str:
    """Return the name in a Host header: without port, and without the brackets of IPv6; empty when it is none."""
    found = _HOST.fullmatch(host.lower())
    return "" if found is None else found["name"] or found["address"]
