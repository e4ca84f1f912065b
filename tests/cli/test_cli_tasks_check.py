"""The whole library passes `tasks check`, side by side; a bad task fails with a remedy."""

from __future__ import annotations

import json

from cli.main import run
from tasks.loading import library


def test_the_whole_library_passes(capsys):
    code = run(["tasks", "check", "--json"])
    report = json.loads(capsys.readouterr().out)
    faults = {task["slug"]: [f for f in task["findings"] if not f["passed"]] for task in report["tasks"]}
    assert {slug: found for slug, found in faults.items() if found} == {}
    assert (code, report["passed"]) == (0, True)
    assert [task["slug"] for task in report["tasks"]] == sorted(task.slug for task in library())


def test_a_bad_file_fails_with_its_remedy(tmp_path, capsys):
    op = tmp_path / "op.py"
    op.write_text(
        "import torch\nrows = 64\ncols = 32\n\n\ndef op(x, y):\n    return x * 2 + 0 * y\n\n\n"
        "def get_inputs():\n    return [torch.randn(rows, cols), torch.randn(rows, cols)]\n",
        encoding="utf-8",
    )
    assert run(["tasks", "check", str(op), "relu"]) == 1
    shown = capsys.readouterr().out
    assert "✗ op" in shown
    assert "✓ relu" in shown
    assert "inputs: other values of 'y'" in shown
    assert "remedy: leave out what the op does not read" in shown
    assert "2 tasks checked" in shown
