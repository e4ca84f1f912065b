"""Database errors as the project's own, by error code, never by the text of a message."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from tasks.errors import InfraError, KernelwrightError, UserError

CHOOSE_ANOTHER = "set KERNELWRIGHT_DATABASE_URL to another place"

_PRIMARY_CODE = 0xFF  # SQLite's extended codes keep the primary one in the low byte
_SQLITE: dict[int, tuple[type[KernelwrightError], str]] = {
    sqlite3.SQLITE_FULL: (InfraError, "the disk is full; free some space and repeat: what was written before is kept"),
    sqlite3.SQLITE_BUSY: (InfraError, "another process has held it locked for too long"),
    sqlite3.SQLITE_IOERR: (InfraError, "the disk reported an input/output error"),
    sqlite3.SQLITE_CORRUPT: (InfraError, f"the file is damaged; restore a copy or {CHOOSE_ANOTHER}"),
    sqlite3.SQLITE_CANTOPEN: (
        UserError,
        f"it cannot be opened there; check the folder and its rights or {CHOOSE_ANOTHER}",
    ),
    sqlite3.SQLITE_PERM: (UserError, f"the rights of the file do not allow it; mend them or {CHOOSE_ANOTHER}"),
    sqlite3.SQLITE_READONLY: (
        UserError,
        f"it is not writable; mend the rights of the file and its folder or {CHOOSE_ANOTHER}",
    ),
    sqlite3.SQLITE_NOTADB: (UserError, f"the file is not an SQLite database; {CHOOSE_ANOTHER}"),
}

# PostgreSQL's SQLSTATE by its first two characters (PostgreSQL manual, appendix A).
_POSTGRESQL: dict[str, tuple[type[KernelwrightError], str]] = {
    "08": (InfraError, "the connection was lost"),
    "42": (UserError, "the user may not do this; grant it the rights to the schema"),
    "53": (InfraError, "the server is out of disk, memory or connections"),
    "57": (InfraError, "the server is shutting down or cancelled the statement"),
}


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Raise the project's own error in place of what the driver raised for a known cause.

    Raises
    ------
    UserError
        The database cannot be opened or written with the rights and the URL given.
    InfraError
        Full disk, lost connection, lock held too long.
    """
    try:
        yield
    except DBAPIError as error:
        own = _own_error(url, error)
        if own is None:
            raise
        raise own from error


def location(url: URL) -> str:
    """Return where a database is, for people: SQLite's file, or the URL without password and driver."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def _own_error(url: URL, error: DBAPIError) -> KernelwrightError | None:
    place = location(url)
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        found = _SQLITE.get(code & _PRIMARY_CODE)
    elif url.get_backend_name() != "postgresql":
        found = None
    elif (state := getattr(error.orig, "sqlstate", None)) is not None:
        found = _POSTGRESQL.get(state[:2])
    elif error.connection_invalidated:
        found = (InfraError, "the connection was lost")
    else:
        # A connection that never came about has no code, only libpq's own words for it; they hold no password.
        reason = " ".join(str(error.orig).split())
        found = (InfraError, f"no connection; check KERNELWRIGHT_DATABASE_URL and that the server runs ({reason})")
    if found is None:
        return None
    kind, cause = found
    return kind(f"The database {place} failed: {cause}.")
