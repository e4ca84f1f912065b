"""Opening the database: SQLite with the pragmas that several processes need, or PostgreSQL."""

from __future__ import annotations

import json
import sqlite3
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from dataset.faults import CHOOSE_ANOTHER
from dataset.settings import DatasetSettings
from tasks.errors import UserError

WRITES = "kernelwright_writes"
"""Execution option of connections whose transactions write."""

_IN_MEMORY = (None, "", ":memory:")


def parse_url(text: str) -> URL:
    """Parse a database URL and settle its driver.

    Raises
    ------
    UserError
        Not a URL, a database that is not supported, SQLite in memory, or psycopg is not installed.
    """
    try:
        url = make_url(text)
    except ArgumentError as error:
        msg = f"'{text}' is not a database URL; write sqlite:///path/to/file.db or postgresql://user@host/name."
        raise UserError(msg) from error
    backend = url.get_backend_name()
    if backend in {"postgresql", "postgres"}:
        if find_spec("psycopg") is None:
            msg = "PostgreSQL needs psycopg; install it with: pip install 'kernelwright[postgresql]'"
            raise UserError(msg)
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        msg = f"Kernelwright keeps its dataset in SQLite or PostgreSQL, not '{backend}'; {CHOOSE_ANOTHER}."
        raise UserError(msg)
    if url.database in _IN_MEMORY:
        msg = "An SQLite database in memory is lost with its process and unseen by workers; name a file: sqlite:///file.db"
        raise UserError(msg)
    return url.set(drivername="sqlite+pysqlite")


def open_engine(url: URL, settings: DatasetSettings) -> Engine:
    """Return an engine; nothing is connected yet, but SQLite's folder is made.

    Raises
    ------
    UserError
        The folder of the SQLite file cannot be made.
    """
    serializer = partial(json.dumps, allow_nan=False, ensure_ascii=False)
    if url.get_backend_name() == "postgresql":
        return create_engine(url, json_serializer=serializer, pool_pre_ping=True)
    if "uri" not in url.query:  # a `file:` URI names its own file, and says how it is opened
        _make_folder(Path(str(url.database)))
    engine = create_engine(url, json_serializer=serializer, connect_args={"timeout": settings.database_busy_seconds})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_folder(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"The folder {file.parent} for the database cannot be made ({error.strerror}); {CHOOSE_ANOTHER}."
        raise UserError(msg) from error


def _prepare_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    # The driver's own transactions start too late (at the first write) to be safe; _begin_sqlite replaces them.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    # Readers never wait for a writer, and a commit costs no fsync; a power cut may lose the newest
    # transactions but never damages the file (SQLite manual, "Write-Ahead Logging").
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later could fail at once in place of waiting: take the lock first.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
