"""Column types: frozen values as JSON, UTC times, and text that every database takes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import JSON, DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator

from tasks.values import Value

V = TypeVar("V", bound=Value)


class ValueJson(TypeDecorator[V], Generic[V]):
    """A frozen value, whole, as JSON.

    PostgreSQL's `json` and not `jsonb`: the latter reorders keys, and a content hash depends on the order.

    Parameters
    ----------
    model
        Class of the value.
    """

    impl = JSON
    cache_ok = True

    def __init__(self, model: type[V]) -> None:
        super().__init__()
        self.model = model

    def process_bind_param(self, value: V | None, dialect: Dialect) -> Any:  # noqa: ANN401 - JSON-ready data
        """Give the value as JSON-ready data."""
        del dialect
        return None if value is None else value.model_dump(mode="json")

    def process_result_value(self, value: Any, dialect: Dialect) -> V | None:  # noqa: ANN401 - JSON-ready data
        """Give the stored data as the value."""
        del dialect
        return None if value is None else self.model.model_validate(value)


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time: aware, in UTC, on databases with and without time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store in UTC; naive times are refused because nobody can tell what they mean."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            msg = "a stored time needs a time zone"
            raise ValueError(msg)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give an aware time in UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Prose(TypeDecorator[str]):
    """Free text. NUL characters, which PostgreSQL refuses and compilers sometimes print, become U+FFFD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace what PostgreSQL's `text` does not take."""
        del dialect
        return None if value is None else value.replace("\0", "\N{REPLACEMENT CHARACTER}")
