"""A real OpenAI-compatible endpoint on a local port that answers by script; it also serves the end-to-end tests.

    with ScriptedEndpoint([reply("```cuda ...```"), failure(429, retry_after="0"), reply("...")]) as endpoint:
        settings = AgentSettings.load(model_base_url=endpoint.url)

Each request to `/chat/completions` takes the next answer of the script; the last one is repeated. Every request's body
is kept in `endpoint.requests`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Answer:
    """One scripted answer."""

    status: int = 200
    content_type: str = "text/event-stream"
    parts: tuple[bytes, ...] = ()
    """Pieces of the body, each flushed by itself."""
    headers: dict[str, str] = field(default_factory=dict)
    break_off: bool = False
    """Close the connection in the middle of the chunked body."""


def _event(record: object) -> bytes:
    return b"data: " + json.dumps(record).encode() + b"\n\n"


def _chunk(delta: dict[str, Any], finish_reason: str | None = None, usage: object = None) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    record = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "scripted", "choices": choices}
    return _event(record | ({"usage": usage, "choices": []} if usage is not None else {}))


def reply(
    text: str,
    *,
    reasoning: str = "",
    reasoning_field: str = "reasoning_content",
    finish_reason: str | None = "stop",
    usage: tuple[int, int] | None = (100, 50),
    reasoning_tokens: int = 0,
    break_off: bool = False,
    insert: bytes | None = None,
) -> Answer:
    """A streamed reply, seven characters at a time."""
    parts = [_chunk({"role": "assistant"})]
    parts += [_chunk({reasoning_field: reasoning[i : i + 7]}) for i in range(0, len(reasoning), 7)]
    parts += [_chunk({"content": text[i : i + 7]}) for i in range(0, len(text), 7)]
    if insert is not None:
        parts.append(insert)
    if finish_reason is not None:
        parts.append(_chunk({}, finish_reason))
        if usage is not None:
            details = {"reasoning_tokens": reasoning_tokens}
            record = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
            parts.append(_chunk({}, usage=record | {"completion_tokens_details": details}))
        parts.append(b"data: [DONE]\n\n")
    return Answer(parts=tuple(parts), break_off=break_off)


def whole_reply(text: str) -> Answer:
    """A reply in one piece, from a server that does not stream."""
    message = {"role": "assistant", "content": text}
    record = {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }
    return Answer(content_type="application/json", parts=(json.dumps(record).encode(),))


def failure(status: int, message: str = "no", *, code: str | None = None, retry_after: str | None = None) -> Answer:
    """An error in OpenAI's form."""
    body = {"error": {"message": message, "type": "error", "code": code}}
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Answer(status=status, content_type="application/json", parts=(json.dumps(body).encode(),), headers=headers)


def web_page() -> Answer:
    """What a wrong base URL often gives."""
    return Answer(content_type="text/html", parts=(b"<html><body>Welcome</body></html>",))


Script = Sequence[Answer] | Callable[[dict[str, Any]], Answer]


class ScriptedEndpoint:
    """The endpoint; a context manager that listens on a free port of the loopback interface.

    `script` is a sequence of answers, or a function of the request's body. `models` is what `/models` lists; None
    makes it answer 404. With `key`, every other key is refused with 401. A model that is not listed is refused with
    404, unless `strict` is False.
    """

    def __init__(
        self,
        script: Script,
        *,
        models: Sequence[str] | None = ("scripted",),
        key: str | None = None,
        strict: bool = True,
    ) -> None:
        self.requests: list[dict[str, Any]] = []
        self._script = script
        self._models = models
        self._key = key
        self._strict = strict
        self._lock = threading.Lock()
        endpoint = self

        class Handler(_Handler):
            owner = endpoint

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """The base URL, `/v1` included."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, key: str, body: dict[str, Any]) -> Answer:
        """The answer to one request."""
        if self._key is not None and key != f"Bearer {self._key}":
            return failure(401, "Incorrect API key provided")
        if path.endswith("/models"):
            return self._list()
        with self._lock:
            self.requests.append(body)
            position = len(self.requests) - 1
        if self._strict and self._models is not None and body["model"] not in self._models:
            return failure(404, f"The model `{body['model']}` does not exist", code="model_not_found")
        if callable(self._script):
            return self._script(body)
        return self._script[min(position, len(self._script) - 1)]

    def _list(self) -> Answer:
        if self._models is None:
            return failure(404)
        data = [{"id": name, "object": "model", "created": 1, "owned_by": "test"} for name in self._models]
        return Answer(content_type="application/json", parts=(json.dumps({"object": "list", "data": data}).encode(),))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: ScriptedEndpoint

    def do_GET(self) -> None:
        self._send(self.owner.answer(self.path, self.headers.get("Authorization", ""), {}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._send(self.owner.answer(self.path, self.headers.get("Authorization", ""), body))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Keep the test's output clean."""

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Transfer-Encoding", "chunked")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        for part in answer.parts:
            self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            self.wfile.flush()
        if answer.break_off:
            self.close_connection = True
            self.connection.close()
        else:
            self.wfile.write(b"0\r\n\r\n")
