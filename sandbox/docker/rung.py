"""Docker on this machine: whether its daemon and our image are there, and what they hold."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from sandbox.docker.engine import Engine, socket_path
from sandbox.docker.image import expect_image
from sandbox.docker.isolation import DockerIsolation, sweep
from sandbox.errors import SandboxUnavailableError
from sandbox.holding import Isolation
from sandbox.trial import self_test
from sandbox.values import Finding
from tasks.errors import InfraError

_FINDING = "isolation: docker"
_HOLE = "look at how the daemon was set up, or use bubblewrap"


class DockerRung:
    """Containers of the daemon at a socket (`sandbox.rung.Rung`).

    Parameters
    ----------
    host
        Where the daemon listens.
    image
        Name of the image of its containers.
    cache_dir
        Where our own first program is kept once it is compiled.
    """

    name = "docker"

    def __init__(self, host: str, image: str, cache_dir: Path) -> None:
        self._host = host
        self._image = image
        self._cache_dir = cache_dir

    def isolation(self) -> Isolation:
        """Return Docker, after the containers of processes that are gone were removed.

        Raises
        ------
        SandboxUnavailableError
            There is no daemon or no image, or a container leaves a hole.
        """
        engine = _engine(self._host, _socket_state(self._host))
        image = expect_image(engine, self._image)
        if problem := _tested(engine, self._image, image, self._cache_dir):
            raise SandboxUnavailableError(problem, _HOLE)
        return DockerIsolation(engine, self._image, self._cache_dir)

    def findings(self) -> tuple[Finding, ...]:
        """Say whether it works, and which of its bounds the kernel holds."""
        try:
            self.isolation()
            bounds = _engine(self._host, _socket_state(self._host)).bounds()
        except SandboxUnavailableError as error:
            return (Finding(name=_FINDING, ok=False, detail=error.problem, remedy=error.remedy, required=False),)
        missing = [name for name, held in bounds.items() if not held]
        bounded = f"without {', '.join(missing)}" if missing else "memory, processes and processors bounded"
        detail = f"{self._host}: no network, read-only, no capabilities, filtered system calls; {bounded}"
        return (Finding(name=_FINDING, ok=True, detail=detail, required=False),)


@lru_cache(maxsize=4)
def _engine(host: str, socket_state: str) -> Engine:
    del socket_state  # part of the key: a daemon that was started again is another one
    engine = Engine(host)
    sweep(engine)
    return engine


@lru_cache(maxsize=16)
def _tested(engine: Engine, name: str, image: str, cache_dir: Path) -> str:
    del image  # part of the key: another image of this name is tested again
    try:
        return self_test(DockerIsolation(engine, name, cache_dir))
    except InfraError as error:
        return str(error)


def _socket_state(host: str) -> str:
    try:
        found = socket_path(host).stat()
    except OSError as error:
        return str(error)
    return f"{found.st_ino} {found.st_ctime_ns} {os.geteuid()}"
