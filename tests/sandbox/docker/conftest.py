"""A daemon that tells lies, for the tests of what is believed."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pytest

from sandbox.docker.image import LABEL, LAYOUT


class _Answers(BaseHTTPRequestHandler):
    """Says what Docker says, and holds nothing: what is to run in a container it runs as it is, or not at all."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def address_string(self) -> str:
        return "a socket"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.endswith("/version"):
            self._say({"ApiVersion": "1.41"})
        elif "/images/absent/" in self.path:
            self._say({"message": "No such image: absent"}, 404)
        elif "/images/" in self.path:
            self._say({"Id": "sha256:lies", "Config": {"Labels": {LABEL: LAYOUT}}})
        elif self.path.endswith("/containers/lie/json"):
            self._say({"State": {"Running": False, "OOMKilled": False}, "Config": {"Tty": True}, "HostConfig": {}})
        elif "/logs" in self.path:
            self._send(self.server.said, "text/plain")
        else:
            self._say([])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.endswith("/create"):
            self.server.command = json.loads(body)["Cmd"]
            self._say({"Id": "lie"}, 201)
            return
        if self.server.runs:
            done = subprocess.run(self.server.command, capture_output=True, check=False)
            self.server.said = done.stderr
        self._say("", 204)

    def do_DELETE(self) -> None:
        self._say("", 204)

    def _say(self, answer: object, status: int = 200) -> None:
        self._send(json.dumps(answer).encode() if answer != "" else b"", "application/json", status)

    def _send(self, data: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class _Server(ThreadingUnixStreamServer):
    daemon_threads = True
    runs = False
    command: tuple[str, ...] = ()
    said = b""


@pytest.fixture
def liar(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., object]:
    """Starts a daemon that lies; returns where it listens."""

    @contextmanager
    def start(*, runs: bool) -> Iterator[str]:
        place = Path(tmp_path_factory.mktemp("d")) / "s"
        with _Server(str(place), _Answers) as server:
            server.runs = runs
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"unix://{place}"
            finally:
                server.shutdown()
                thread.join()

    return start
