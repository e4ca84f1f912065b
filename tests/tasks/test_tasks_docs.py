"""The page about tasks says what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tasks.manifest import Manifest
from tasks.manifest_reference import with_fields
from tasks.reference import probe
from tasks.values import DomainKind
from verifier.task_check import TaskCheck


@pytest.fixture
def page(request) -> str:
    return (Path(request.config.rootpath) / "docs" / "tasks.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def test_the_tables_of_fields_are_those_of_the_schema(page):
    assert with_fields(page) == page, "run: python -m tasks.manifest_reference docs/tasks.md"


def test_the_examples_of_both_forms_are_tasks(page):
    module, function = map(probe, blocks(page, "python"))
    assert [axis.name for axis in module.axes] == ["rows", "cols"]
    assert [axis.name for axis in function.axes] == ["x_dim0", "x_dim1"]


def test_the_example_of_a_manifest_is_valid(page):
    (text,) = blocks(page, "toml")
    assert Manifest.model_validate(tomllib.loads(text)).tensors[1].high == "classes"


def test_every_check_of_a_task_has_a_row(page):
    for check in TaskCheck:
        assert f"\n| `{check}` | " in page


def test_every_domain_has_a_row(page):
    for kind in DomainKind:
        assert f"\n| `{kind}` | " in page
