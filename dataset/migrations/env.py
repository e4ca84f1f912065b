"""Alembic's entry: runs on the connection that `dataset.migrate` (or a test) hands over."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from dataset.models import Base


def _run(connection: Connection) -> None:
    # SQLite cannot alter most things in place; batch mode rewrites the table.
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


_run(context.config.attributes["connection"])
