"""How every room reads its settings: defaults < `kernelwright.toml` < environment < flags."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from tasks.errors import UserError

SETTINGS_FILE = "kernelwright.toml"


class RoomSettings(BaseSettings):
    """Base of a room's settings.

    A field `cache_dir` of the room `sandbox` is read from `cache_dir` under `[sandbox]` in `kernelwright.toml` in
    the working directory (or the file that `KERNELWRIGHT_SETTINGS` names), then from `KERNELWRIGHT_CACHE_DIR`, then
    from the keyword that a command-line flag passes.
    """

    model_config = SettingsConfigDict(
        env_prefix="KERNELWRIGHT_", extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    section: ClassVar[str]
    """Table of `kernelwright.toml` that holds this room's settings."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: the first one that has a value wins."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, InitSettingsSource(settings_cls, _table(cls.section))

    @classmethod
    def load(cls, **flags: object) -> Self:
        """Read the settings; flags that are None were not given.

        Raises
        ------
        UserError
            A setting is unknown or its value is not legal.
        """
        given: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise UserError(
                f"the setting `{name}` of [{cls.section}] is not usable: {first['msg'].lower()}; set it in"
                f" {SETTINGS_FILE} or as KERNELWRIGHT_{name.upper()}"
            ) from error


def _table(section: str) -> dict[str, Any]:
    path = Path(os.environ.get("KERNELWRIGHT_SETTINGS", SETTINGS_FILE))
    if not path.is_file():
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error
    table = document.get(section, {})
    if not isinstance(table, dict):
        raise UserError(f"[{section}] in {path} must be a table")
    return table
