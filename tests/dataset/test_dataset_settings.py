"""Each setting acts, in the documented order."""

from __future__ import annotations

from dataset.archive import Archive
from dataset.settings import DatasetSettings, default_database


def test_the_default_is_sqlite_in_the_users_data_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERNELWRIGHT_DATABASE_URL", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_database() == tmp_path / "data" / "kernelwright" / "kernelwright.db"
    with Archive.open() as archive:
        assert archive.runs() == ()
    assert default_database().exists()


def test_file_then_environment_then_argument(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERNELWRIGHT_DATABASE_URL", raising=False)
    (tmp_path / "kernelwright.toml").write_text('database_url = "sqlite:///from_file.db"\nother_rooms = 1\n')
    assert DatasetSettings().url == "sqlite:///from_file.db"
    monkeypatch.setenv("KERNELWRIGHT_DATABASE_URL", "sqlite:///from_environment.db")
    assert DatasetSettings().url == "sqlite:///from_environment.db"
    assert DatasetSettings(database_url="sqlite:///argument.db").url == "sqlite:///argument.db"
