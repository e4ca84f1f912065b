"""A run that is killed or interrupted ends, once resumed, with the attempts of an undisturbed one."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dataset.archive import Archive

ROOT = Path(__file__).parents[2]
ARGUMENTS = [
    "relu",
    "--model",
    "offline",
    "--device",
    "sim:h100",
    "--samples",
    "1",
    "--generations",
    "1",
    "--population",
    "2",
    "--seed",
    "5",
]


def _shape(archive, run_id):
    """Return everything about a run's attempts that must not depend on when it was interrupted."""
    return [
        (
            attempt.number,
            attempt.generation,
            attempt.operator,
            attempt.parents,
            attempt.candidate and attempt.candidate.content_hash,
            attempt.verdict and (attempt.verdict.status, attempt.verdict.checks),
            attempt.measurement,
        )
        for attempt in archive.attempts(run_id)
    ]


def _stopped_after_outcomes(outcomes, how, *arguments, run_id=None):
    """Work on a run, send the process a signal once so many attempts have a verdict, and return the run's identifier."""
    archive = Archive.open()
    before = {run.id for run in archive.runs(100)}
    # A shell starts background jobs with Ctrl-C ignored, which children inherit; a person's terminal does not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "optimize", *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            new = [run.id for run in archive.runs(100) if run.id not in before]
            run_id = run_id or (new[0] if new else None)
            if run_id and sum(a.verdict is not None for a in archive.attempts(run_id)) >= outcomes:
                break
            assert process.poll() is None, "the run ended before it could be stopped"
            time.sleep(0.05)
        else:
            pytest.fail("the run made no progress")
        process.send_signal(how)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert f"optimize --resume {run_id}" in " ".join(said.split())
        assert "Traceback" not in said
    return run_id


@pytest.mark.slow
def test_kill_and_resume_equals_an_undisturbed_run(kernelwright):
    undisturbed = kernelwright("optimize", *ARGUMENTS, "--json")
    assert undisturbed.code == 0, undisturbed.err
    archive = Archive.open()
    expected = _shape(archive, undisturbed.json()["run"]["id"])
    assert len(expected) >= 3
    # Killed before the first verdict; taken up and interrupted after one; taken up and killed after two; taken up.
    run_id = _stopped_after_outcomes(0, signal.SIGKILL, *ARGUMENTS)
    _stopped_after_outcomes(1, signal.SIGINT, "--resume", run_id, run_id=run_id)
    _stopped_after_outcomes(2, signal.SIGKILL, "--resume", run_id, run_id=run_id)
    resumed = kernelwright("optimize", "--resume", run_id, "--json")
    assert resumed.code == 0, resumed.err
    assert _shape(archive, run_id) == expected
