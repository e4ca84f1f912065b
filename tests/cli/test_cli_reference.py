from pathlib import Path

from cli.reference import render

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_is_what_the_commands_say():
    assert PAGE.read_text(encoding="utf-8") == render(), "run: python -m cli.reference > docs/cli.md"
