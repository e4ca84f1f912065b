"""What a verdict was made with: the versions that a replay is compared under."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path

from verifier.values import Environment

_JUDGES = ("verifier", "sandbox", "tasks")
_SOURCES = (".py", ".toml", ".ll", ".h")
_PROCESSORS = Path("/proc/cpuinfo")


@cache
def present_environment() -> Environment:
    """Return the present one; the toolchain is known only once something was built."""
    return Environment(
        kernelwright=metadata.version("kernelwright"),
        judge=_sources_hash(*_JUDGES),
        simulator=_sources_hash("simgpu"),
        torch=metadata.version("torch"),
        numpy=metadata.version("numpy"),
        llvmlite=metadata.version("llvmlite"),
        processor=_processor(),
    )


def _sources_hash(*packages: str) -> str:
    """Hash the sources of packages, names and contents, since a version number misses what is not released."""
    digest = hashlib.sha256()
    for package in packages:
        _add(digest, resources.files(package))
    return digest.hexdigest()[:16]


def _add(digest: hashlib._Hash, folder: Traversable) -> None:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            _add(digest, entry)
        elif entry.name.endswith(_SOURCES):
            digest.update(entry.name.encode())
            digest.update(entry.read_bytes())


def _processor() -> str:
    if _PROCESSORS.is_file():
        for line in _PROCESSORS.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
