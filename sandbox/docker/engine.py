"""A Docker daemon on this machine, as far as the sandbox asks it for anything.

Whatever goes wrong between us and it is a `SandboxUnavailableError` with what helps: the daemon's troubles are never
the candidate's.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.errors import SandboxUnavailableError

if TYPE_CHECKING:
    from docker import APIClient

_SCHEME = "unix://"
_SECONDS = 60
_OLDEST = "1.41"
"""Version of the daemon's interface that has everything that is asked for: Docker 20.10."""
_FOUND_NOTHING = 404
_NOT_REMOVED = {_FOUND_NOTHING, 409, 500}
"""Answers to a removal that is not to be given up: it is gone, it is being removed, its end did not come in time."""
_STEP_SECONDS = 0.1
_LAST_LINES = 20

_INSTALL = "install Docker and start its daemon, for instance: apt-get install docker.io && systemctl start docker"
_GROUP = "let this user reach the daemon (usermod -aG docker USER, which gives it root's rights), or run as root"
_PACKAGE = "pip install 'kernelwright[docker]'"
_ELSEWHERE = "run Kernelwright on the machine itself, where it and the Docker daemon see the same files"


@dataclass(frozen=True, slots=True)
class Labelled:
    """An image or a container, whatever its state."""

    identity: str
    labels: Mapping[str, str]


class Engine:
    """One daemon.

    Parameters
    ----------
    host
        Where it listens: `unix://` and the path of its socket.

    Raises
    ------
    SandboxUnavailableError
        It is not on this machine, does not answer, or the package that speaks to it is missing.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self._client = self._connected()

    @property
    def place(self) -> Path:
        """The daemon's socket."""
        return socket_path(self.host)

    def image(self, name: str) -> Labelled:
        """Return an image.

        Raises
        ------
        SandboxUnavailableError
            There is none of this name.
        """
        with self._asked(f"there is no image `{name}`", remedy="make it: make image"):
            found = self._client.inspect_image(name)  # type: ignore[no-untyped-call]
        return Labelled(found["Id"], found["Config"].get("Labels") or {})

    def make_image(self, name: str, layers: bytes, changes: list[str]) -> None:
        """Make an image of one layer, a tar archive, without fetching anything."""
        with self._asked(f"the image `{name}` cannot be made"):
            answer = self._client.import_image_from_data(layers, repository=name, changes=changes)
        error = json.loads(answer.splitlines()[-1]).get("error", "")
        if error:
            raise SandboxUnavailableError(f"the image `{name}` cannot be made: {error}")

    def host_config(self, **options: Any) -> dict[str, Any]:  # noqa: ANN401 -- the client library's own options
        """Return the part of a container's description that the host decides."""
        return dict(self._client.create_host_config(**options))

    def create(self, image: str, command: list[str], **options: Any) -> str:  # noqa: ANN401 -- likewise
        """Make a container; nothing is pulled. Returns its identity."""
        with self._asked("a container cannot be made"):
            return str(self._client.create_container(image, command, **options)["Id"])

    def start(self, identity: str) -> None:
        """Start a container."""
        with self._asked("a container cannot be started"):
            self._client.start(identity)

    def remove(self, identity: str) -> None:
        """End a container and remove it; returns once it is gone.

        Raises
        ------
        SandboxUnavailableError
            The daemon does not do it within a minute.
        """
        end = time.monotonic() + _SECONDS
        while not self._removed(identity):
            if time.monotonic() > end:
                raise SandboxUnavailableError(f"a container cannot be removed: the daemon has tried for {_SECONDS} s")
            time.sleep(_STEP_SECONDS)

    def runs(self, identity: str) -> bool:
        """Whether a container runs."""
        return bool(self._state(identity)["Running"])

    def ran_out_of_memory(self, identity: str) -> bool:
        """Whether the kernel ended a process of a container because of its bound on memory."""
        return bool(self._state(identity)["OOMKilled"])

    def printed(self, identity: str) -> str:
        """Return the end of what the first process of a container said before its streams were given to the command."""
        with self._asked("the words of a container cannot be read"):
            return bytes(self._client.logs(identity, tail=_LAST_LINES)).decode(errors="replace").strip()

    def containers(self, label: str) -> tuple[Labelled, ...]:
        """List the containers that have a label, the ended ones too."""
        with self._asked("containers cannot be listed"):
            found = self._client.containers(all=True, filters={"label": label})
        return tuple(Labelled(one["Id"], one.get("Labels") or {}) for one in found)

    def bounds(self) -> Mapping[str, bool]:
        """Say which of memory, processes and processors the daemon's control groups bound."""
        with self._asked("the daemon does not say what it is"):
            info = self._client.info()
        return {name: bool(info.get(name)) for name in ("MemoryLimit", "PidsLimit", "CpuCfsQuota")}

    def _removed(self, identity: str) -> bool:
        """Ask for a container's removal; returns whether it is gone."""
        from docker.errors import APIError  # noqa: PLC0415 -- an optional package, slow to load

        with self._asked("a container cannot be removed"):
            try:
                self._client.remove_container(identity, v=True, force=True)
            except APIError as error:
                if error.status_code not in _NOT_REMOVED:
                    raise
                return bool(error.status_code == _FOUND_NOTHING)
        return True

    def _state(self, identity: str) -> Mapping[str, Any]:
        with self._asked("a container cannot be looked at"):
            state: Mapping[str, Any] = self._client.inspect_container(identity)["State"]
        return state

    def _connected(self) -> APIClient:
        with self._asked(f"no Docker daemon answers at {self.place}"):
            first = _client(self.host, _OLDEST)
            return _client(self.host, first.version(api_version=False)["ApiVersion"])

    @contextmanager
    def _asked(self, trouble: str, *, remedy: str = "") -> Iterator[None]:
        """Turn what goes wrong between us and the daemon into one sentence, with what helps."""
        self._expect_answer()
        try:
            from docker.errors import APIError, DockerException  # noqa: PLC0415 -- an optional package, slow to load
            from requests.exceptions import RequestException  # noqa: PLC0415 -- it brings this one
        except ImportError as error:
            raise SandboxUnavailableError("the package `docker` is not installed", _PACKAGE) from error
        try:
            yield
        except APIError as error:
            said = error.explanation or str(error)
            if "bind source path does not exist" in said:
                remedy = _ELSEWHERE
            raise SandboxUnavailableError(f"{trouble}: {said}", remedy) from error
        except (DockerException, RequestException) as error:
            raise SandboxUnavailableError(f"{trouble}: {error}", _INSTALL) from error

    def _expect_answer(self) -> None:
        """Expect somebody to listen; the client library wraps the system's own words three times over."""
        try:
            with socket.socket(socket.AF_UNIX) as end:
                end.connect(str(self.place))
        except FileNotFoundError as error:
            raise SandboxUnavailableError(f"there is no Docker daemon: {self.place} is not there", _INSTALL) from error
        except OSError as error:
            remedy = _GROUP if isinstance(error, PermissionError) else _INSTALL
            said = f"no Docker daemon answers at {self.place}: {error.strerror or error}"
            raise SandboxUnavailableError(said, remedy) from error


def _client(host: str, version: str) -> APIClient:
    from docker import APIClient  # noqa: PLC0415 -- as above

    client = APIClient(base_url=host, version=version, timeout=_SECONDS)
    # A connection that is kept would outlive the daemon, and be shared by threads.
    client.headers["Connection"] = "close"
    return client


def socket_path(host: str) -> Path:
    """Return the path of the socket that a host names.

    Raises
    ------
    SandboxUnavailableError
        It is not on this machine.
    """
    if not host.startswith(_SCHEME):
        raise SandboxUnavailableError(
            f"the Docker daemon at {host} is not reached through a socket of this machine",
            "set KERNELWRIGHT_DOCKER_HOST to a local one, such as unix:///var/run/docker.sock",
        )
    return Path(host.removeprefix(_SCHEME))
