"""Writes the manifest's fields into the documentation: `python -m tasks.manifest_reference docs/tasks.md`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tasks.manifest import SECTIONS
from tasks.values import Value

BEGIN = "<!-- fields: written by python -m tasks.manifest_reference docs/tasks.md -->\n"
END = "<!-- end of fields -->\n"


def with_fields(page: str) -> str:
    """Return the documentation page with its tables renewed from the schema."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{manifest_fields()}{END}{after}"


def manifest_fields() -> str:
    """Return one Markdown table for each table of a manifest."""
    return "\n".join(line for section in SECTIONS for line in _table(section)) + "\n"


def _table(section: type[Value]) -> Iterator[str]:
    yield ""
    yield " ".join((section.__doc__ or "").split())
    yield ""
    yield "| field | default | meaning |"
    yield "| --- | --- | --- |"
    for name, field in section.model_fields.items():
        default = "required" if field.is_required() else _written(field.default)
        yield f"| `{name}` | {default} | {' '.join((field.description or '').split())} |"


def _written(default: object) -> str:
    """Return a default as the manifest would write it."""
    return "none" if default is None else f"`{json.dumps(default)}`"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(with_fields(target.read_text(encoding="utf-8")), encoding="utf-8")
