"""Where the dataset lives: `KERNELWRIGHT_DATABASE_URL`, or SQLite in the user's data folder."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from platformdirs import user_data_path
from pydantic import Field

from tasks.settings import RoomSettings


class DatasetSettings(RoomSettings):
    """Table `[dataset]`."""

    section: ClassVar[str] = "dataset"

    database_url: str | None = None
    """SQLAlchemy URL: `sqlite:///path` or `postgresql://user@host/name`. None: SQLite in the user's data folder."""
    database_busy_seconds: float = Field(default=30.0, ge=0)
    """How long a write to SQLite waits for another process's write before it fails, seconds."""

    @property
    def url(self) -> str:
        """The URL to open; the default's folder is not created here."""
        return self.database_url or f"sqlite:///{default_database()}"


def default_database() -> Path:
    """Return the SQLite file that is used when no URL is set."""
    return user_data_path("kernelwright") / "kernelwright.db"
