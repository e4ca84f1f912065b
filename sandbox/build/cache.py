"""A content-addressed store of builds, shared by any number of processes.

An entry is a folder named by the hash of everything that went into it. It is written beside its place and published
by one rename, so a reader sees all of it or nothing; the first of two writers wins. `manifest.json` lists each file's
hash, and an entry that does not match it is thrown away and built again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import InfraError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MANIFEST = "manifest.json"
_KEPT_SECONDS = 600.0
"""How long an entry is safe after its last use, however full the cache is."""


def content_key(*parts: str | bytes) -> str:
    """Hash parts so that no two different lists of parts collide; returns 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """One published build."""

    folder: Path
    """Where its files are; read only."""
    cached: bool
    """Whether it stood there before it was asked for."""


class BuildCache:
    """The store under one folder.

    Parameters
    ----------
    root
        The user's cache folder; made when it is missing.
    max_bytes
        Size to keep it under; without a bound when None.

    Raises
    ------
    InfraError
        The folder cannot be made or written.
    """

    def __init__(self, root: Path, max_bytes: int | None = None) -> None:
        self._max_bytes = max_bytes
        self._builds = root / "builds"
        self._scratch = root / "scratch"
        try:
            self._builds.mkdir(parents=True, exist_ok=True)
            self._scratch.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InfraError(
                f"the build cache {root} cannot be written ({error.strerror}); name another folder in"
                " KERNELWRIGHT_CACHE_DIR"
            ) from error

    def entry(self, key: str, fill: Callable[[Path], None]) -> Entry:
        """Return the entry of a key, built by `fill` in an empty folder when it is missing or damaged.

        Whatever `fill` raises passes through, and nothing is published.
        """
        if found := self.find(key):
            return found
        place = self._place(key)
        with self.scratch() as folder:
            fill(folder)
            _write_manifest(folder)
            self._publish(folder, place)
        self._shrink()
        return Entry(folder=place, cached=False)

    def find(self, key: str) -> Entry | None:
        """Return the entry of a key if it is there and undamaged."""
        place = self._place(key)
        if not _intact(place):
            return None
        # The time of the last use decides what goes first when the cache is full.
        with contextlib.suppress(OSError):
            os.utime(place / _MANIFEST)
        return Entry(folder=place, cached=True)

    def _place(self, key: str) -> Path:
        return self._builds / key[:2] / key

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give an empty folder on the cache's file system, removed afterwards if it is still there."""
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _publish(self, folder: Path, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        for _ in range(3):
            try:
                folder.rename(place)
            except OSError:
                # Another process was first. Its entry serves as well as ours, unless it is damaged.
                if _intact(place):
                    return
                self._discard(place)
            else:
                return
        raise InfraError(f"the build cache entry {place} can neither be used nor replaced; remove it by hand")

    def _shrink(self) -> None:
        """Throw away what was used longest ago until the rest is under the bound.

        What was used within the last minutes stays: a process may be about to load it.
        """
        if self._max_bytes is None:
            return
        entries = sorted((found for place in self._builds.glob("*/*") if (found := _measured(place))), reverse=True)
        total = 0
        for used, size, place in entries:
            total += size
            if total > self._max_bytes and time.time() - used > _KEPT_SECONDS:
                self._discard(place)

    def _discard(self, place: Path) -> None:
        with self.scratch() as grave:
            try:
                place.rename(grave / "damaged")
            except FileNotFoundError:
                return


def _measured(place: Path) -> tuple[float, int, Path] | None:
    """Return when an entry was last used, its bytes, and the entry; None when it is just being replaced."""
    try:
        used = (place / _MANIFEST).stat().st_mtime
        return used, sum(path.stat().st_size for path in place.rglob("*") if path.is_file()), place
    except OSError:
        return None


def _write_manifest(folder: Path) -> None:
    hashes = {str(path.relative_to(folder)): _hash(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    (folder / _MANIFEST).write_text(json.dumps(hashes, indent=1), encoding="utf-8")


def _intact(place: Path) -> bool:
    try:
        hashes = json.loads((place / _MANIFEST).read_text(encoding="utf-8"))
        return isinstance(hashes, dict) and all(_hash(place / name) == known for name, known in hashes.items())
    except (OSError, ValueError):
        return False


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
