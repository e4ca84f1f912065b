"""Settings of the sandbox: where builds are kept, how untrusted code is held, what it may use."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from platformdirs import user_cache_path
from pydantic import Field

from sandbox.values import Limits
from tasks.settings import RoomSettings


class IsolationChoice(StrEnum):
    """How untrusted processes are to be held."""

    AUTO = "auto"
    """bubblewrap where its self-test passes, else Docker where it does, else nothing: an error, never `process`."""
    BUBBLEWRAP = "bubblewrap"
    """Namespaces of its own, a read-only system, no network; an error where that does not work."""
    DOCKER = "docker"
    """Containers of a Docker daemon on this machine, as tight; an error where that does not work."""
    PROCESS = "process"
    """A session of its own with limits; files and network stay reachable. Only by this name."""


class HeaderChoice(StrEnum):
    """Whose headers sources in the PyTorch extension style are compiled against."""

    AUTO = "auto"
    """Ours first; PyTorch's own when the source asks for something that only they declare."""
    LIGHT = "light"
    """Ours: seconds, and nothing in them computes."""
    FULL = "full"
    """PyTorch's own: a minute or more."""


class SandboxSettings(RoomSettings):
    """Table `[sandbox]`."""

    section: ClassVar[str] = "sandbox"

    cache_dir: Path = Field(default_factory=lambda: user_cache_path("kernelwright"))
    """Folder of the build cache."""
    isolation: IsolationChoice = IsolationChoice.AUTO
    """How untrusted processes are held."""
    docker_host: str = Field(default_factory=lambda: os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    """Socket of the Docker daemon of this machine; by default the one that Docker's own tools use."""
    docker_image: str = Field(default="kernelwright-sandbox", min_length=1)
    """Image of the containers, as `make image` makes it."""
    cache_bytes: int = Field(default=4 << 30, gt=0)
    """Size that the build cache is kept under; what was used longest ago goes first."""
    headers: HeaderChoice = HeaderChoice.AUTO
    """Whose headers sources in the PyTorch extension style are compiled against."""
    compile_seconds: float = Field(default=120.0, gt=0)
    """Wall seconds that one build may take."""
    full_compile_seconds: float = Field(default=900.0, gt=0)
    """Wall seconds that one build against PyTorch's full headers may take."""
    call_seconds: float = Field(default=60.0, gt=0)
    """Wall seconds that one call of a candidate or of a reference may take."""
    probe_seconds: float = Field(default=300.0, gt=0)
    """Wall seconds that finding out what a reference is may take: it is run dozens of times, at many sizes."""
    memory_bytes: int = Field(default=6 << 30, gt=0)
    """Resident memory that one sandboxed process and its children may use together."""

    @property
    def limits(self) -> Limits:
        """Limits of a process that runs a candidate or a reference."""
        return Limits(wall_seconds=self.call_seconds, memory_bytes=self.memory_bytes)

    @property
    def probe_limits(self) -> Limits:
        """Limits of a process that probes a reference."""
        return Limits(wall_seconds=self.probe_seconds, memory_bytes=self.memory_bytes)

    @property
    def compile_limits(self) -> Limits:
        """Limits of a process group that compiles."""
        return self._compile_limits(self.compile_seconds)

    @property
    def full_compile_limits(self) -> Limits:
        """Limits of a process group that compiles against PyTorch's full headers."""
        return self._compile_limits(self.full_compile_seconds)

    def _compile_limits(self, seconds: float) -> Limits:
        return Limits(
            wall_seconds=seconds,
            cpu_seconds=int(4 * seconds) + 1,
            memory_bytes=self.memory_bytes,
            file_bytes=512 << 20,
        )
