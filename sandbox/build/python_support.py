"""What a Python candidate's process needs beyond its file: PyTorch's device guard, and extensions built on demand."""

from __future__ import annotations

from pathlib import Path

from sandbox.build.builder import build
from sandbox.build.compiler import Compiler
from sandbox.build.modelnew import extension_candidate, extension_flags
from sandbox.build.torch_guard import torch_guard
from sandbox.evidence import ExtensionRequest
from sandbox.isolation import choose_isolation
from sandbox.settings import HeaderChoice, SandboxSettings
from sandbox.toolchain import find_toolchain
from sandbox.values import Build


class PythonSupport:
    """Serves one session (`sandbox.candidate.Support`).

    Parameters
    ----------
    settings
        Of the session.
    arch
        Architecture that extensions are built for.
    """

    def __init__(self, settings: SandboxSettings, arch: str) -> None:
        self._settings = settings
        self._arch = arch

    def guard(self) -> Path:
        """Return PyTorch's device guard, compiled."""
        settings = self._settings
        isolation = choose_isolation(settings.isolation)
        return torch_guard(Compiler(find_toolchain(), isolation, settings.compile_limits, settings))

    def extension(self, request: ExtensionRequest) -> Build:
        """Build an extension, or take it from the cache.

        Raises
        ------
        BuildError
            It does not build.
        """
        flags = extension_flags(request.flags)
        # PyTorch's own headers would put its operators in reach, outside the record that Python candidates are under.
        settings = self._settings.model_copy(update={"headers": HeaderChoice.LIGHT})
        return build(extension_candidate(request), self._arch, settings, flags=flags)
