"""Settings of the agent: the model's endpoint, how candidates are evaluated, and how jobs travel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from platformdirs import user_data_path
from pydantic import Field, SecretStr

from tasks.settings import RoomSettings

OPENAI_URL = "https://api.openai.com/v1"


def _key_of_openai() -> SecretStr | None:
    key = os.environ.get("OPENAI_API_KEY")
    return SecretStr(key) if key else None


def _url_of_openai() -> str:
    return os.environ.get("OPENAI_BASE_URL") or OPENAI_URL


def _cores() -> int:
    return os.cpu_count() or 1


class AgentSettings(RoomSettings):
    """What the agent reads from `[agent]` in `kernelwright.toml` or from the environment."""

    section: ClassVar[str] = "agent"

    model: str = Field(default="offline", min_length=1)
    """Proposer when none is named: `offline`, or a model of the endpoint."""
    model_base_url: str = Field(default_factory=_url_of_openai, pattern=r"^https?://")
    """OpenAI-compatible endpoint; where it is not set, `OPENAI_BASE_URL`, then OpenAI's own."""
    model_api_key: SecretStr | None = Field(default_factory=_key_of_openai)
    """Key of the endpoint; where it is not set, `OPENAI_API_KEY`. A local endpoint may need none."""
    model_timeout_seconds: float = Field(default=300.0, gt=0)
    """Longest silence of the endpoint, seconds: to connect, and between two parts of a reply."""
    model_retries: int = Field(default=4, ge=0)
    """Further tries after a refused connection, 408, 409, 429 or 5xx; `Retry-After` is kept to."""
    model_temperature: float | None = Field(default=None, ge=0)
    """Sampling temperature; None leaves it to the endpoint (some models refuse to be told)."""
    model_max_tokens: int | None = Field(default=None, gt=0)
    """Longest reply in tokens, reasoning included; None leaves it to the endpoint."""
    model_calls: int = Field(default=4, ge=1)
    """Calls of a model under way at the same time; one while a budget in USD or tokens is set."""

    example_kernels_dir: Path | None = None
    """Folder of right kernels for tasks of the library, one of which a model's first prompt shows; None: those that
    come with Kernelwright."""
    example_characters: int = Field(default=12_000, ge=0)
    """Longest example, its reference and its kernel together; with 0 none is shown."""

    evaluations: int = Field(default_factory=_cores, ge=1)
    """Candidates evaluated at the same time; one per core unless it is set."""
    evaluation_retries: int = Field(default=2, ge=0)
    """Further tries of an evaluation that failed for the machine's fault."""
    evaluation_retry_seconds: float = Field(default=2.0, ge=0)
    """Wait before such a try, seconds; it doubles each time."""

    state_dir: Path = Field(default_factory=lambda: user_data_path("kernelwright"))
    """Folder of the filesystem broker, the job results and the locks."""
    broker_url: str | None = None
    """Celery broker, for instance `redis://localhost:6379/0`; None: files in `state_dir`."""
    result_url: str | None = None
    """Celery result backend; None: SQLite in `state_dir`."""
