from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.isolation import bubblewrap_problem

ROOT = Path(__file__).parents[3]
RUNS = 120


def test_the_host_is_afterwards_as_it_was_before():
    if bubblewrap_problem():
        pytest.skip(f"bubblewrap: {bubblewrap_problem()}")
    command = [sys.executable, "-m", "benchmarks.soak", "--runs", str(RUNS), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert report["left"] == {}, report
    endings = report["endings"]
    assert sum(endings.values()) == RUNS
    hostile = {name for name in endings if not name.endswith("code 0")}
    assert {"deaf: timeout", "memory: out_of_memory", "killed: its parent was killed"} <= hostile
