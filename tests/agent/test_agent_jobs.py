"""Jobs on real brokers with a real worker process, scripted proposer and evaluator."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.jobs import broker_finding, make_celery, resume_interrupted, send_run, submit_run, work_on, worker_command
from agent.locks import held_now
from agent.scripted import ScriptedEvaluator, ScriptedProposer
from agent.search import run_lock, run_search
from dataset.archive import Archive
from dataset.values import RunRecord, RunState
from tasks.errors import InfraError
from tests.agent.samples import sample_config, shape, write

ROOT = Path(__file__).parents[2]
ENDED = {RunState.FINISHED, RunState.FAILED, RunState.CANCELLED}


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(params=["filesystem", "redis"])
def broker(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: Archive) -> Iterator[str]:
    monkeypatch.setenv("KERNELWRIGHT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("KERNELWRIGHT_DATABASE_URL", archive.url)
    if request.param == "filesystem":
        yield "filesystem"
        return
    with _redis(tmp_path) as url:
        monkeypatch.setenv("KERNELWRIGHT_BROKER_URL", url)
        yield url


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(seconds: float = 0.0) -> subprocess.Popen[bytes]:
        command = worker_command("tests.agent.worker_app:celery_app")
        environment = os.environ | {"EVALUATION_SECONDS": str(seconds), "KERNELWRIGHT_EVALUATIONS": "1"}
        with (tmp_path / "worker.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


def wait_for(archive: Archive, run_id: str, condition: Callable[[RunRecord], bool], seconds: float = 60) -> RunRecord:
    deadline = time.monotonic() + seconds
    while not condition(run := archive.run(run_id)):
        assert time.monotonic() < deadline, f"run {run_id} is still {run.state}: {run.message}"
        time.sleep(0.05)
    return run


def judged(archive: Archive, run_id: str) -> int:
    return sum(attempt.verdict is not None for attempt in archive.attempts(run_id))


def reference_shape(archive: Archive, settings) -> list[object]:
    run = archive.create_run(sample_config())
    run_search(archive, run.id, ScriptedProposer(write), evaluator=ScriptedEvaluator(), settings=settings)
    return shape(archive.attempts(run.id))


@pytest.mark.slow
def test_a_worker_takes_a_run_and_a_killed_ones_run_goes_on(broker, archive, settings, start_worker):
    expected = reference_shape(archive, settings)
    run = submit_run(archive, sample_config(), app=make_celery())
    assert run.state is RunState.QUEUED
    first = start_worker(seconds=0.3)
    wait_for(archive, run.id, lambda _: judged(archive, run.id) >= 3)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert archive.run(run.id).state is RunState.RUNNING
    start_worker()
    assert wait_for(archive, run.id, lambda r: r.state in ENDED).state is RunState.FINISHED
    assert shape(archive.attempts(run.id)) == expected


@pytest.mark.slow
def test_a_worker_that_is_told_to_stop_leaves_the_run_for_the_next(broker, archive, start_worker, tmp_path):
    run = submit_run(archive, sample_config(), app=make_celery())
    first = start_worker(seconds=0.5)
    wait_for(archive, run.id, lambda _: judged(archive, run.id) >= 1)
    first.send_signal(signal.SIGTERM)
    first.wait(timeout=20)
    assert archive.run(run.id).state is RunState.QUEUED
    log = (tmp_path / "worker.log").read_text()
    assert "Warning" not in log
    start_worker()
    assert wait_for(archive, run.id, lambda r: r.state in ENDED).state is RunState.FINISHED


def test_a_cancelled_run_is_not_started_and_a_refused_one_says_why(broker, archive, start_worker):
    app = make_celery()
    cancelled = submit_run(archive, sample_config(), app=app)
    archive.set_state(cancelled.id, RunState.CANCELLED)
    keyless = submit_run(archive, sample_config(model="keyless"), app=app)
    start_worker()
    failed = wait_for(archive, keyless.id, lambda r: r.state in ENDED)
    assert (failed.state, failed.message) == (RunState.FAILED, "the model keyless needs a key")
    assert archive.run(cancelled.id).state is RunState.CANCELLED
    assert archive.attempts(cancelled.id) == ()


def test_what_is_being_worked_on_is_not_taken_up_again(settings, archive):
    app = make_celery()
    working, orphan, queued, finished = (archive.create_run(sample_config()).id for _ in range(4))
    archive.set_state(working, RunState.RUNNING)
    archive.set_state(orphan, RunState.RUNNING)
    archive.set_state(finished, RunState.FINISHED)
    with held_now(run_lock(working)):
        assert set(resume_interrupted(archive, app=app)) == {orphan, queued}


def scripted(_: str) -> ScriptedProposer:
    return ScriptedProposer(write)


def test_a_job_that_comes_while_the_run_is_worked_on_does_nothing(settings, archive):
    run = archive.create_run(sample_config())
    with held_now(run_lock(run.id)):
        assert work_on(archive, run.id, scripted, ScriptedEvaluator()).state is RunState.QUEUED
    assert archive.attempts(run.id) == ()


def test_a_job_for_a_run_that_has_ended_does_nothing(settings, archive):
    run = archive.create_run(sample_config())
    first = work_on(archive, run.id, scripted, ScriptedEvaluator())
    evaluator = ScriptedEvaluator()
    assert work_on(archive, run.id, scripted, evaluator) == first
    assert evaluator.evaluated == []


def test_an_error_of_our_own_fails_the_run_and_is_logged_by_celery(settings, archive):
    def break_down(_: object) -> None:
        raise ZeroDivisionError("a mistake")

    run = archive.create_run(sample_config())
    with pytest.raises(ZeroDivisionError):
        work_on(archive, run.id, scripted, ScriptedEvaluator(before=break_down))
    failed = archive.run(run.id)
    assert (failed.state, failed.message) == (RunState.FAILED, "internal error: ZeroDivisionError('a mistake')")


def test_a_broker_that_is_down_is_named_and_the_run_can_be_sent_again(archive, settings, monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_BROKER_URL", "redis://127.0.0.1:1/0")
    with pytest.raises(InfraError, match=r"redis://127\.0\.0\.1:1/0 cannot be reached.*KERNELWRIGHT_BROKER_URL"):
        submit_run(archive, sample_config(), app=make_celery())
    (run,) = archive.runs()
    assert run.state is RunState.FAILED
    finding = broker_finding()
    assert not finding.ok
    assert "redis://127.0.0.1:1/0" in finding.detail
    monkeypatch.delenv("KERNELWRIGHT_BROKER_URL")
    assert send_run(archive, run.id, app=make_celery()).state is RunState.QUEUED
    assert broker_finding().ok


def test_importing_the_jobs_reads_no_settings(tmp_path):
    (tmp_path / "broken.toml").write_text("[agent")
    environment = os.environ | {"KERNELWRIGHT_SETTINGS": str(tmp_path / "broken.toml")}
    subprocess.run([sys.executable, "-c", "import agent.jobs"], cwd=ROOT, env=environment, check=True)
