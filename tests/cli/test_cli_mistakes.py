"""Every mistake gets one clear sentence and its exit code, and nothing is lost."""

import json

import pytest

from cli.main import run
from dataset.archive import Archive

NO_TASK = "print('hello')\n"
NO_INPUTS = "import torch\n\ndef op():\n    return torch.zeros(3)\n\ndef get_inputs():\n    return []\n"
RAISES = "import torch\n\ndef op(x):\n    raise ValueError('no such luck')\n\ndef get_inputs():\n    return [torch.ones(3)]\n"
NOT_PYTHON = "def op(:\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (NO_TASK, "get_inputs"),
        (NO_INPUTS, "input"),
        (RAISES, "no such luck"),
        (NOT_PYTHON, "syntax"),
        ("", "get_inputs"),
    ],
)
def test_a_file_that_is_no_task(tmp_path, capsys, text, sentence):
    path = tmp_path / "op.py"
    path.write_text(text)
    assert run(["optimize", str(path), "--model", "offline", "--device", "sim:h100"]) == 2
    said = capsys.readouterr()
    assert sentence in " ".join(said.err.split()).lower()
    assert "Traceback" not in said.err
    assert said.out == ""
    assert Archive.open().runs(10) == ()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["optimize"], "TASK"),
        (["optimize", "sofmax"], "softmax"),
        (["optimize", "no/such/file.py"], "no/such/file.py"),
        (["optimize", "relu", "--device", "sim:h1000"], "sim:h100"),
        (["optimize", "relu", "--device", "tpu"], "sim:h100"),
        (["optimize", "--resume", "nosuchrun"], "nosuchrun"),
        (["optimize", "relu", "--resume", "nosuchrun"], "leave TASK out"),
        (["optimize", "relu", "--samples", "0"], "samples"),
        (["optimize", "relu", "--what"], "--what"),
        (["verify", "relu", "nothing.cu"], "nothing.cu"),
        (["verify", "relu", "abc:7"], "abc"),
        (["kernels", "show", "seven"], "RUN:NUMBER"),
        (["runs", "show", "nosuchrun"], "nosuchrun"),
        (["runs", "cancel", "nosuchrun"], "nosuchrun"),
        (["sim", "run", "nothing.cu"], "nothing.cu"),
        (["nosuchcommand"], "nosuchcommand"),
    ],
)
def test_a_mistake_is_one_sentence(capsys, arguments, sentence):
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert sentence in " ".join(said.err.split())
    assert "Traceback" not in said.err


def test_with_json_a_mistake_is_a_document(capsys):
    assert run(["tasks", "show", "sofmax", "--json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["error"] == "user"
    assert "softmax" in report["message"]


def test_a_model_without_an_endpoint_says_which_setting(capsys):
    assert run(["optimize", "relu", "--model", "some-model", "--device", "sim:h100"]) == 2
    assert "KERNELWRIGHT_" in capsys.readouterr().err


def test_a_database_from_a_newer_version(capsys, monkeypatch, own_data):
    url = f"sqlite:///{own_data / 'runs.sqlite'}"
    monkeypatch.setenv("KERNELWRIGHT_DATABASE_URL", url)
    assert run(["db", "upgrade"]) == 0
    import sqlite3  # noqa: PLC0415 - this test alone writes to the file behind SQLAlchemy's back

    with sqlite3.connect(own_data / "runs.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert run(["runs", "list"]) == 2
    assert "newer" in " ".join(capsys.readouterr().err.split())
