"""A verdict that was recorded in this repository comes out the same bit for bit, wherever it is made again.

The record is of whoever changed last what a verdict says. One command makes it anew:

    kernelwright verify softmax examples/kernels/softmax.cu --seed 20 --device sim:h100 --json \
        > tests/verifier/golden/softmax.json
"""

from pathlib import Path

from cli.schemas import VerifyReport
from sandbox.devices import parse_device
from sandbox.values import Limits
from verifier.replay import compare_verdicts
from verifier.verify import verify

RECORD = Path(__file__).with_name("golden") / "softmax.json"
ELSEWHERE = {"processor", "toolchain", "torch", "numpy", "llvmlite"}
"""What another machine may have otherwise. Our own sources are not among it: they must not change a verdict unseen."""

PATIENT = Limits(wall_seconds=600.0)
"""A busy machine is no reason for another verdict."""


def test_a_recorded_verdict_comes_out_the_same_or_the_replay_names_what_differs():
    recorded = VerifyReport.model_validate_json(RECORD.read_text(encoding="utf-8"))
    device = parse_device(recorded.device)
    again = verify(recorded.task, recorded.candidate, device, seed=recorded.seed, limits=PATIENT)
    replay = compare_verdicts(recorded.verdict, again)
    elsewhere = [one for one in replay.environment if one.where in ELSEWHERE]
    if elsewhere:
        assert all(one.recorded and one.found and one.recorded != one.found for one in elsewhere)
        assert again.status is recorded.status
        assert [check.name for check in again.checks] == [check.name for check in recorded.checks]
    else:
        # A task that was written before its format had a field has another hash now, and is the same task.
        assert [one for one in replay.differences if one.where != "task_hash"] == []
