"""Each setting acts, in the documented order; `test_dataset_migrations.py` shows that the busy time acts."""

from __future__ import annotations

from dataset.archive import Archive, database_finding
from dataset.settings import DatasetSettings, default_database


def test_the_default_is_sqlite_in_the_users_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_database() == tmp_path / "data" / "kernelwright" / "kernelwright.db"
    with Archive.open() as archive:
        assert archive.runs() == ()
    assert default_database().exists()


def test_file_then_environment_then_argument(tmp_path, monkeypatch):
    file = tmp_path / "kernelwright.toml"
    file.write_text('[dataset]\ndatabase_url = "sqlite:///from_file.db"\n')
    monkeypatch.setenv("KERNELWRIGHT_SETTINGS", str(file))
    assert DatasetSettings.load().url == "sqlite:///from_file.db"
    monkeypatch.setenv("KERNELWRIGHT_DATABASE_URL", "sqlite:///from_environment.db")
    assert DatasetSettings.load().url == "sqlite:///from_environment.db"
    assert DatasetSettings.load(database_url="sqlite:///argument.db").url == "sqlite:///argument.db"


def test_the_doctor_is_told_where_the_database_is_or_what_to_do(tmp_path, monkeypatch):
    found = database_finding()
    assert found.ok
    assert found.detail == str(default_database())
    monkeypatch.setenv("KERNELWRIGHT_DATABASE_URL", f"sqlite:///{tmp_path}")
    missing = database_finding()
    assert not missing.ok
    assert missing.required
    assert "cannot be opened" in missing.detail
    assert "KERNELWRIGHT_DATABASE_URL" in missing.remedy
