"""A search that is killed by SIGKILL, at many points, ends like one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from agent.scripted import ScriptedEvaluator, ScriptedProposer
from agent.search import run_search
from dataset.values import RunState
from tests.agent.samples import sample_config, shape, write

ROOT = Path(__file__).parents[2]


def test_kill_and_resume_equals_an_undisturbed_run(archive, settings):
    undisturbed = archive.create_run(sample_config())
    end = run_search(archive, undisturbed.id, ScriptedProposer(write), evaluator=ScriptedEvaluator(), settings=settings)
    run = archive.create_run(sample_config())
    environment = os.environ | {"KERNELWRIGHT_EVALUATIONS": "2"}
    kills = 0
    # Each sitting makes a few writes more, then dies just before or just after one: proposals, outcomes, events.
    for at, when in [
        (1, "after"),
        (2, "before"),
        (3, "after"),
        (5, "before"),
        (4, "after"),
        (7, "after"),
        (6, "before"),
    ]:
        script = [sys.executable, "-m", "tests.agent.killed_search", archive.url, run.id, str(at), when]
        process = subprocess.run(script, cwd=ROOT, env=environment, check=False)
        assert process.returncode == -signal.SIGKILL
        assert archive.run(run.id).state in {RunState.QUEUED, RunState.RUNNING}
        kills += 1
    recorded = len(archive.attempts(run.id))
    assert 0 < recorded < len(archive.attempts(undisturbed.id))
    resumed = run_search(archive, run.id, ScriptedProposer(write), evaluator=ScriptedEvaluator(), settings=settings)
    assert kills == 7
    assert (resumed.state, resumed.best_attempt) == (RunState.FINISHED, end.best_attempt)
    assert shape(archive.attempts(run.id)) == shape(archive.attempts(undisturbed.id))
