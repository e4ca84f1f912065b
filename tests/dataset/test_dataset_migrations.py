"""Bringing databases up: from nothing, from the first revision, from places and versions that cannot be used."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

import dataset
from dataset.archive import Archive
from dataset.engine import parse_url
from dataset.migrate import alembic_config
from dataset.models import Base
from tasks.errors import InfraError, UserError


def test_the_migrations_give_exactly_the_models(database_url):
    Archive.open(database_url).close()
    engine = create_engine(parse_url(database_url))
    with engine.begin() as connection:
        command.check(alembic_config(connection))
        assert set(inspect(connection).get_table_names()) == {*Base.metadata.tables, "alembic_version"}
    engine.dispose()


def test_there_is_one_line_of_revisions_and_none_goes_down():
    scripts = ScriptDirectory.from_config(alembic_config())
    assert len(scripts.get_heads()) == 1
    assert [revision for revision in scripts.walk_revisions() if hasattr(revision.module, "downgrade")] == []


def test_a_run_in_a_database_of_the_first_revision_is_read_after_the_upgrade(database_url):
    engine = create_engine(parse_url(database_url))
    rows = (Path(__file__).parent / "first_revision.sql").read_text(encoding="utf-8")
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0001")
        for statement in rows.split(";\n"):
            connection.exec_driver_sql(statement)
    engine.dispose()
    with Archive.open(database_url) as archive:
        run = archive.run("first")
        attempt = archive.attempt("first", 1)
    assert run.config.task.slug == "relu"
    assert run.best_attempt == 1
    assert attempt.parents == (0,)
    assert attempt.verdict.passed
    assert attempt.measurement.speedup == 2.5


def test_opening_again_changes_nothing(database_url, samples):
    with Archive.open(database_url) as archive:
        run = archive.create_run(samples.config())
    with Archive.open(database_url) as archive:
        assert archive.runs() == (run,)


def test_a_database_from_a_newer_version_is_refused_with_the_remedy(database_url):
    Archive.open(database_url).close()
    engine = create_engine(parse_url(database_url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UserError, match=r"newer version of Kernelwright \(schema 9999\).*pip install --upgrade"):
        Archive.open(database_url)
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
    engine.dispose()


def test_migrations_are_found_wherever_the_package_lies(tmp_path):
    place = tmp_path / "100% site"
    place.mkdir()
    for room in ("dataset", "verifier", "sandbox", "tasks"):
        (place / room).symlink_to(Path(dataset.__file__).parents[1] / room)
    program = "from dataset.archive import Archive; print(Archive.open('sqlite:///x.db').runs())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "()\n"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("not a url", "is not a database URL"),
        ("mysql://localhost/x", "SQLite or PostgreSQL, not 'mysql'"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
    ],
)
def test_an_unusable_url_is_a_sentence(url, sentence):
    with pytest.raises(UserError, match=sentence):
        Archive.open(url)


def test_a_place_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be made.*KERNELWRIGHT_DATABASE_URL"):
        Archive.open(f"sqlite:///{tmp_path}/file/deeper/x.db")
    with pytest.raises(UserError, match="cannot be opened there"):
        Archive.open(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database_is_a_sentence(tmp_path):
    (tmp_path / "x.db").write_bytes(b"some other file, long enough to be looked at" * 100)
    with pytest.raises(UserError, match="not an SQLite database"):
        Archive.open(f"sqlite:///{tmp_path / 'x.db'}")


def test_a_database_that_may_not_be_written_is_a_sentence(tmp_path, samples, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'x.db'}?mode=ro&uri=true"
    (tmp_path / "x.db").touch()
    with pytest.raises(UserError, match="not writable"):
        Archive.open(url.replace(f"{tmp_path}", f"file:{tmp_path}"))
    assert [path.name for path in tmp_path.iterdir()] == ["x.db"], "a URI is no folder to make"


def test_a_full_disk_is_an_infrastructure_fault_and_what_was_written_stays(tmp_path, samples):
    file = tmp_path / "x.db"
    with Archive.open(f"sqlite:///{file}") as archive:
        run = archive.create_run(samples.config())
        with archive._engine.connect() as connection:  # the limit holds for its connection: take the pool's only one
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(InfraError, match="disk is full"):
            archive.add_event(run.id, "note", "x" * 100_000)
        assert archive.events(run.id) == ()
        assert archive.runs() == (run,)


def test_a_database_held_by_another_process_is_an_infrastructure_fault(tmp_path, samples, monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_DATABASE_URL", f"sqlite:///{tmp_path / 'x.db'}")
    monkeypatch.setenv("KERNELWRIGHT_DATABASE_BUSY_SECONDS", "0.05")
    with Archive.open() as archive:
        holder = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(InfraError, match="locked for too long"):
            archive.create_run(samples.config())
        holder.execute("ROLLBACK")
        holder.close()
        archive.create_run(samples.config())


def test_a_postgresql_that_cannot_be_reached_hides_the_password(tmp_path):
    with pytest.raises(InfraError, match="connection") as caught:
        Archive.open(f"postgresql://someone:secret@/x?host={tmp_path}")
    assert "secret" not in str(caught.value)


def test_a_missing_postgresql_database_is_a_sentence(postgres):
    url = postgres.fresh_database()
    postgres.drop(url)
    with pytest.raises(InfraError, match=r"no connection; check KERNELWRIGHT_DATABASE_URL.*does not exist"):
        Archive.open(url)
