"""A race between blocks is a verdict, with kernel, line, block and allocation; what a fence orders passes."""

from pathlib import Path

import pytest

from sandbox.devices import parse_device
from sandbox.values import Candidate, Language, SourceFile
from tasks.loading import library_task
from verifier.values import Status, Verdict
from verifier.verify import verify

RACES = Path(__file__).with_name("races")


def _verdict(text: str) -> Verdict:
    candidate = Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=text),))
    return verify(library_task("row_sum"), candidate, parse_device("sim:h100"), seed=20)


@pytest.mark.slow
def test_partial_sums_behind_a_fence_pass():
    verdict = _verdict((RACES / "partials.cu").read_text(encoding="utf-8"))
    assert verdict.status is Status.PASSED, verdict.checks[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "culprit"),
    [("partials_without_a_fence", "y[row] = partial[2 * row]"), ("cleared_by_a_block", "atomicAdd(y + row, sum)")],
)
def test_a_race_between_blocks_is_a_data_race_at_its_line(name, culprit):
    text = (RACES / f"{name}.cu").read_text(encoding="utf-8")
    verdict = _verdict(text)
    assert verdict.status is Status.DATA_RACE, verdict.checks[-1]
    found = verdict.diagnostics[0]
    assert found.kind == "data_race_global"
    assert "row_sum_halves" in found.kernel
    assert found.line == next(number for number, line in enumerate(text.splitlines(), 1) if culprit in line)
    assert found.block is not None
    assert found.thread == (0, 0, 0)
    assert "which block" in found.message
    assert "bytes" in found.message
