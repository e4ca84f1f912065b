"""The image of sandbox containers: folders to mount on, and nothing in them.

The system, Python and this run's own paths are bound from the host, read-only, so an image of this kind never grows old
and is made from nothing, without a registry. `Dockerfile` beside this file makes the same one where an image has to
come from a build.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from sandbox.docker.engine import Engine
from sandbox.errors import SandboxUnavailableError

LABEL = "org.kernelwright.layout"
LAYOUT = "1"
"""Changes whenever an older image would not do any more."""

_FOLDERS = ("usr", "etc", "etc/alternatives", "proc", "sys", "dev", "run")
_OPEN_FOLDERS = ("tmp",)
"""Mode 1777; what is mounted on it takes that over."""
_FILES = ("etc/ld.so.cache",)
_IN_USR = ("bin", "sbin", "lib", "lib32", "lib64")
"""Names in the root folder that most systems keep in /usr."""


def make_image(engine: Engine, name: str) -> None:
    """Make the image under a name, in place of an earlier one.

    Raises
    ------
    SandboxUnavailableError
        The daemon does not take it.
    """
    engine.make_image(name, _layer(Path("/")), [f"LABEL {LABEL}={LAYOUT}"])


def expect_image(engine: Engine, name: str) -> str:
    """Expect the image to be there and to be ours; returns its identity.

    Raises
    ------
    SandboxUnavailableError
        It is not.
    """
    image = engine.image(name)
    found = image.labels.get(LABEL)
    if found != LAYOUT:
        said = "is no image of a sandbox" if found is None else "was made for another release"
        raise SandboxUnavailableError(f"the image `{name}` {said}", "make it: make image")
    return image.identity


def _layer(root: Path) -> bytes:
    """Return the tar archive of the image, laid out as the host is."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name in _FOLDERS:
            archive.addfile(_member(name, tarfile.DIRTYPE, 0o755))
        for name in _OPEN_FOLDERS:
            archive.addfile(_member(name, tarfile.DIRTYPE, 0o1777))
        for name in _FILES:
            archive.addfile(_member(name, tarfile.REGTYPE, 0o644))
        for name in _IN_USR:
            place = root / name
            if place.is_symlink():
                link = _member(name, tarfile.SYMTYPE, 0o777)
                link.linkname = str(place.readlink())
                archive.addfile(link)
            elif place.is_dir():
                archive.addfile(_member(name, tarfile.DIRTYPE, 0o755))
    return data.getvalue()


def _member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.mode = mode
    return member
