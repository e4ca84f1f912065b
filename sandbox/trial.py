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
    read-only, the network must be empty, other processes must be out of sight, and every bound must be in force. What
    it writes into a folder of its own must arrive here, as what compilers write must.
    """
    limits = Limits(wall_seconds=_SELF_TEST_SECONDS)
    with scratch_folder() as folder:
        canary = folder / "canary"
        canary.write_text("visible", encoding="utf-8")
        job = folder / "job"
        job.mkdir()
        probe = [sys.executable, "-I", "-S", str(_SELF_TEST), str(canary), limits.model_dump_json(), str(job / "mark")]
        mounts = Mounts(writable=(job,))
        try:
            with HeldProcess(probe, isolation=isolation, limits=limits, mounts=mounts) as process:
                finished = process.wait(_SELF_TEST_SECONDS)
        except (InfraError, ProcessFailedError) as error:
            return str(error)
        arrived = (job / "mark").is_file()
    lines = finished.output.splitlines()[-1:] or [f"the self-test ended with code {finished.code}, saying nothing"]
    try:
        holes = json.loads(lines[0])
    except ValueError:
        return lines[0]
    if holes:
        return str(holes[0])
    return "" if arrived else "what is written into the folder of a run does not arrive"
