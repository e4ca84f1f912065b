"""What every test stands on: its own data folder, and no settings of the person who runs it."""

import os

import pytest


@pytest.fixture(autouse=True)
def own_data(tmp_path_factory, monkeypatch):
    """Keep a test away from the user's runs, settings and keys; builds share the user's cache, which is by content."""
    for name in list(os.environ):
        if name.startswith(("KERNELWRIGHT_", "OPENAI_")) and name != "KERNELWRIGHT_CACHE_DIR":
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    monkeypatch.setenv("KERNELWRIGHT_SETTINGS", str(home / "kernelwright.toml"))
    return home
