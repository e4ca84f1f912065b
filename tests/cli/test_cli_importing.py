"""`tasks import`: what can be asked for, and what is no sentence of it."""

from __future__ import annotations

import json

import pytest

from cli.main import run


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["tasks", "import", "softmax"], "is no suite"),
        (["tasks", "import", "kernelbench"], "kernelbench_dir"),
        (["tasks", "import", "kernelbench", "nowhere"], "no file or folder 'nowhere'"),
        (["tasks", "import", "gpu-mode", ".", "--level", "1"], "--level"),
        (["tasks", "import", "kernelbench", ".", "--split"], "--split"),
        (["tasks", "show", "gpu-mode:pmpp/sort_py"], "gpu_mode_dir"),
    ],
)
def test_what_cannot_be_imported_is_one_sentence(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_a_refused_problem_is_told_and_the_exit_code_says_so(tmp_path, capsys):
    level = tmp_path / "level1"
    level.mkdir()
    (level / "7_Nothing.py").write_text("x = 1\n", encoding="utf-8")
    assert run(["tasks", "import", "kernelbench", str(tmp_path), "--json"]) == 1
    (only,) = json.loads(capsys.readouterr().out)["imported"]
    assert (only["id"], only["task"]) == ("1/7", None)
    assert "get_inputs" in only["refusal"]
