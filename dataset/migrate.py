"""Bringing a database to this version's tables, from inside the installed package."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from dataset.engine import WRITES
from dataset.faults import location
from tasks.errors import UserError

_ADVISORY_LOCK = 0x6B657277  # "kerw": one number that every Kernelwright process agrees on


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration for this package; `env.py` runs on `connection`."""
    config = Config()
    # A percent sign in a path would be read as an interpolation.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def upgrade(engine: Engine) -> str:
    """Bring the database to the newest revision and return it; safe when several processes start at once.

    Raises
    ------
    UserError
        The database was made by a newer version.
    """
    scripts = ScriptDirectory.from_config(alembic_config())
    head = scripts.get_current_head()
    if head is None:
        msg = "the package holds no migrations"
        raise RuntimeError(msg)
    with engine.connect() as connection:
        if _revision(connection, scripts) == head:
            return head
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        # Another process may have finished the work while this one waited for the lock.
        if _revision(connection, scripts) != head:
            command.upgrade(alembic_config(connection), "head")
    return head


def _revision(connection: Connection, scripts: ScriptDirectory) -> str | None:
    revision = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in scripts.walk_revisions()}
    if revision is not None and revision not in known:
        place = location(connection.engine.url)
        msg = (
            f"The database {place} comes from a newer version of Kernelwright (schema {revision}); install that "
            "version with 'pip install --upgrade kernelwright', or set KERNELWRIGHT_DATABASE_URL to another database."
        )
        raise UserError(msg)
    return revision
