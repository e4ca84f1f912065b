"""`verify --replay`: the file decides; what it cannot decide is one sentence."""

import pytest

from cli.main import run


@pytest.mark.parametrize(
    ("text", "before", "sentence"),
    [
        ("{}", [], "holds no verdict"),
        ("no json", [], "holds no verdict"),
        ("{}", ["relu", "kernel.cu"], "leave them out"),
        (None, [], "cannot read"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, capsys, text, before, sentence):
    path = tmp_path / "verdict.json"
    if text is not None:
        path.write_text(text)
    assert run(["verify", *before, "--replay", str(path)]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
