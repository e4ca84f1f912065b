"""The server process and its worker, as `kernelwright serve` starts and stops them."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tasks.errors import UserError
from web.serve import serve
from web.worker import Worker

ROOT = Path(__file__).parents[2]


def _wait(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come about"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_a_worker_is_asked_to_stop(tmp_path):
    note = tmp_path / "note"
    program = (
        "import pathlib, signal, sys, time\n"
        f"note = pathlib.Path({str(note)!r})\n"
        "def stop(*_):\n    note.write_text('stopped in order')\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "note.write_text('ready')\n"
        "time.sleep(60)\n"
    )
    with Worker(_python(program)) as worker:
        _wait(lambda: note.exists() and note.read_text() == "ready")
        pid = worker.pid
    assert note.read_text() == "stopped in order"
    assert not _alive(pid)


def test_a_worker_that_does_not_stop_is_killed_with_its_children(tmp_path):
    note = tmp_path / "note"
    program = (
        "import os, pathlib, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"part = pathlib.Path({str(note)!r} + '.part')\n"
        "part.write_text(str(child.pid))\n"
        f"part.rename({str(note)!r})\n"
        "time.sleep(60)\n"
    )
    with Worker(_python(program), stop_seconds=0.2) as worker:
        _wait(note.exists)
        pids = [worker.pid, int(note.read_text())]
    _wait(lambda: not any(_alive(pid) for pid in pids))


def test_a_worker_that_dies_is_started_again(tmp_path):
    with Worker(_python("import time; time.sleep(60)")) as worker:
        first = worker.pid
        os.kill(first, signal.SIGKILL)
        _wait(lambda: worker.pid != first and _alive(worker.pid))
        second = worker.pid
    assert not _alive(second)


def test_a_worker_that_cannot_live_is_given_up_with_a_message(caplog):
    with caplog.at_level(logging.WARNING, logger="web.worker"), Worker(_python("raise SystemExit(3)")):
        _wait(lambda: any("runs stay queued" in record.message for record in caplog.records))
    assert sum("started again" in record.message for record in caplog.records) == 3
    assert "exit code 3" in caplog.text


def test_a_remote_address_is_refused_before_anything_starts():
    with pytest.raises(UserError, match="there is no login"):
        serve("192.0.2.1", 0)


def test_a_port_in_use_is_a_sentence_before_a_worker_starts():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="is in use"):
        serve("127.0.0.1", taken.getsockname()[1], command=["/nonexistent"])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_and_its_real_worker_stop_together(number):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = f"from web.serve import serve; serve(port={port}); print('stopped in order')"
    process = subprocess.Popen(_python(program), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        _wait(lambda: _answers(port), 60)
        (worker,) = _children(process.pid)
        assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 200
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, output) == (0, "stopped in order\n")
    _wait(lambda: not _alive(worker))


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/api/runs").status_code == 200
    except httpx.TransportError:
        return False


def _children(pid: int) -> list[int]:
    listing = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listing.split()]
