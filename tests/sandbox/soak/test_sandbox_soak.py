from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.isolation import bubblewrap_problem

ROOT = Path(__file__).parents[3]
RUNS = 120
IN_CONTAINERS = 40
"""All kinds of hostile runs, and two whose parent is killed."""


def soak(runs: int, *options: str, **environment: str) -> dict:
    command = [sys.executable, "-m", "benchmarks.soak", "--runs", str(runs), "--json", *options]
    given = {**os.environ, **environment}
    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_the_host_is_afterwards_as_it_was_before():
    if bubblewrap_problem():
        pytest.skip(f"bubblewrap: {bubblewrap_problem()}")
    report = soak(RUNS)
    assert report["left"] == {}, report
    endings = report["endings"]
    assert sum(endings.values()) == RUNS
    hostile = {name for name in endings if not name.endswith("code 0")}
    assert {"deaf: timeout", "memory: out_of_memory", "killed: its parent was killed"} <= hostile


def test_the_host_is_after_containers_as_it_was_before(dockerd):
    environment = {"KERNELWRIGHT_ISOLATION": "docker", "KERNELWRIGHT_DOCKER_HOST": dockerd.host}
    report = soak(IN_CONTAINERS, "--killed-every", "20", **environment)
    assert report["isolation"] == "docker"
    assert report["left"] == {}, report
    assert report["endings"]["killed: its parent was killed"] == 2
    assert report["swept"] >= 2
