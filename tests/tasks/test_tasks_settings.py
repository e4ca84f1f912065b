from typing import ClassVar

import pytest

from tasks.errors import UserError
from tasks.settings import RoomSettings


class _Example(RoomSettings):
    section: ClassVar[str] = "example"

    answer: int = 1


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERNELWRIGHT_ANSWER", raising=False)
    monkeypatch.delenv("KERNELWRIGHT_SETTINGS", raising=False)
    return tmp_path


def test_flags_beat_environment_beats_file_beats_default(workdir, monkeypatch):
    assert _Example.load().answer == 1
    (workdir / "kernelwright.toml").write_text("[example]\nanswer = 2\n[other]\nx = 1\n")
    assert _Example.load().answer == 2
    monkeypatch.setenv("KERNELWRIGHT_ANSWER", "3")
    assert _Example.load().answer == 3
    assert _Example.load(answer=None).answer == 3
    assert _Example.load(answer=4).answer == 4


def test_a_named_settings_file_is_read(workdir, monkeypatch):
    (workdir / "mine.toml").write_text("[example]\nanswer = 5\n")
    monkeypatch.setenv("KERNELWRIGHT_SETTINGS", str(workdir / "mine.toml"))
    assert _Example.load().answer == 5


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[example]\nansver = 2\n", "ansver"),
        ("[example]\nanswer = 'many'\n", "answer"),
        ("example = 3\n", "must be a table"),
        ("[example\n", "not valid TOML"),
    ],
)
def test_a_wrong_setting_is_a_sentence(workdir, text, sentence):
    (workdir / "kernelwright.toml").write_text(text)
    with pytest.raises(UserError, match=sentence):
        _Example.load()
