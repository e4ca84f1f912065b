"""Reads the files of a suite: bounded in size, and every failure is one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from pydantic import JsonValue, TypeAdapter, ValidationError

from tasks.errors import UserError

_LARGEST = 1 << 22
_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises
    ------
    UserError
        It cannot be read, is no UTF-8, or is larger than any task's file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise UserError(f"'{path}' has {len(data)} bytes, too many for a file of a task")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"'{path}' is not UTF-8 text") from error


def read_json(path: Path) -> JsonValue:
    """Return what a JSON file holds; `UserError` when it is none."""
    return _parsed(read_text(path), str(path))


def read_json_lines(path: Path) -> tuple[JsonValue, ...]:
    """Return the documents of a file with one JSON document a line; `UserError` when one is none."""
    lines = enumerate(read_text(path).splitlines(), start=1)
    return tuple(_parsed(line, f"{path}, line {number}") for number, line in lines if line.strip())


def read_yaml(path: Path) -> JsonValue:
    """Return what a YAML file holds, in JSON's types; `UserError` when it is none."""
    try:
        return _JSON.validate_python(yaml.safe_load(read_text(path)))
    except (yaml.YAMLError, ValidationError) as error:
        raise UserError(f"'{path}' is not valid YAML: {' '.join(str(error).split())[:200]}") from error


def _parsed(text: str, where: str) -> JsonValue:
    try:
        return _JSON.validate_python(json.loads(text))
    except ValueError as error:
        raise UserError(f"'{where}' is not valid JSON: {error}") from error
