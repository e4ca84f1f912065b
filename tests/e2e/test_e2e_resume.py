"""A run that is killed ends, once resumed, with the attempts of an undisturbed one."""

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
    "2",
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


def _kill_after_outcomes(outcomes):
    """Start a run and kill -9 its process once so many attempts have a verdict; return the run's identifier."""
    archive = Archive.open()
    before = {run.id for run in archive.runs(100)}
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "optimize", *ARGUMENTS],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            runs = [run for run in archive.runs(100) if run.id not in before]
            if runs and sum(a.verdict is not None for a in archive.attempts(runs[0].id)) >= outcomes:
                return runs[0].id
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.05)
        pytest.fail("the run made no progress")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_kill_and_resume_equals_an_undisturbed_run(kernelwright):
    undisturbed = kernelwright("optimize", *ARGUMENTS, "--json")
    assert undisturbed.code == 0, undisturbed.err
    archive = Archive.open()
    expected = _shape(archive, undisturbed.json()["run"]["id"])
    assert len(expected) >= 3
    for outcomes in (0, 1, 3):
        run_id = _kill_after_outcomes(outcomes)
        resumed = kernelwright("optimize", "--resume", run_id, "--json")
        assert resumed.code == 0, resumed.err
        assert _shape(archive, run_id) == expected
