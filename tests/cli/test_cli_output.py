"""What is printed is what was found: brackets in it are no styles of the terminal's."""

from pathlib import Path

from cli.loading import read_verdict
from cli.output import results
from cli.report import print_verdict

RECORDED = Path(__file__).parents[1] / "verifier" / "golden" / "softmax.json"


def test_a_verdict_names_each_distribution_of_values():
    verdict = read_verdict(RECORDED)
    named = {check.name for check in verdict.checks}
    assert "values[normal]" in named
    with results.capture() as captured:
        print_verdict(verdict)
    assert not [name for name in named if name not in captured.get()]
