from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.settings import AgentSettings
from dataset.archive import Archive


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(f"sqlite:///{tmp_path / 'archive.db'}") as opened:
        yield opened


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AgentSettings:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KERNELWRIGHT_STATE_DIR", str(tmp_path / "state"))
    return AgentSettings.load(evaluation_retry_seconds=0.0, model_calls=1)
