"""The self-test of an isolation: a probe that runs held and looks for holes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sandbox.holding import Isolation, Mounts
from sandbox.process import HeldProcess, ProcessFailedError
from sandbox.scratch import scratch_folder
from sandbox.values import Limits
from tasks.errors import InfraError

_SELF_TEST = Path(__file__).with_name("self_test.py")
_SELF_TEST_SECONDS = 20.0


def self_test(isolation: Isolation) -> str:
    """Run a probe inside the sandbox that looks for holes; returns the first one found, or nothing.

    The canaries (a file in the temporary folder, variables of this process) must be invisible, the system must be
    read-only, the network must be empty, other processes must be out of sight, and every bound must be in force.
    """
    limits = Limits(wall_seconds=_SELF_TEST_SECONDS)
    with scratch_folder() as folder:
        canary = folder / "canary"
        canary.write_text("visible", encoding="utf-8")
        probe = [sys.executable, "-I", "-S", str(_SELF_TEST), str(canary), limits.model_dump_json()]
        try:
            with HeldProcess(probe, isolation=isolation, limits=limits, mounts=Mounts()) as process:
                finished = process.wait(_SELF_TEST_SECONDS)
        except (InfraError, ProcessFailedError) as error:
            return str(error)
    lines = finished.output.splitlines()[-1:] or [f"the self-test ended with code {finished.code}, saying nothing"]
    try:
        holes = json.loads(lines[0])
    except ValueError:
        return lines[0]
    return str(holes[0]) if holes else ""
