"""Where the dataset lives: `KERNELWRIGHT_DATABASE_URL`, or SQLite in the user's data folder."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_data_path
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource


class DatasetSettings(BaseSettings):
    """Settings of the dataset; order: defaults < `kernelwright.toml` < environment < arguments."""

    model_config = SettingsConfigDict(
        env_prefix="KERNELWRIGHT_",
        toml_file="kernelwright.toml",
        extra="ignore",
        use_attribute_docstrings=True,
    )

    database_url: str | None = None
    """SQLAlchemy URL: `sqlite:///path` or `postgresql://user@host/name`. None: SQLite in the user's data folder."""
    database_busy_seconds: float = 30.0
    """How long a write waits for another process's write before it fails, seconds."""

    @property
    def url(self) -> str:
        """The URL to open; the default's folder is not created here."""
        return self.database_url or f"sqlite:///{default_database()}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments, then the environment, then `kernelwright.toml` of the working folder."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def default_database() -> Path:
    """Return the SQLite file that is used when no URL is set."""
    return user_data_path("kernelwright") / "kernelwright.db"
