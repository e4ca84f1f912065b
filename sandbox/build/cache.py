"""A content-addressed store of builds, shared by any number of processes.

An entry is a folder named by the hash of everything that went into it. It is written beside its place and published
by one rename, so a reader sees all of it or nothing; the first of two writers wins. `manifest.json` lists each file's
hash, and an entry that does not match it is thrown away and built again.

Locks are flock(2)'s, which end with their process, however it ends: one per key while it is built, so that the same
content is compiled once; one on a folder while it is written or used; and one on the whole store, held in common while
an entry is looked up and alone while one is thrown away.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.leases import is_held, locked
from sandbox.scratch import scratch_folder, sweep
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
    kept_seconds
        How long an entry is safe after its last use, however full the cache is.

    Raises
    ------
    InfraError
        The folder cannot be made or written.
    """

    def __init__(self, root: Path, max_bytes: int | None = None, kept_seconds: float = _KEPT_SECONDS) -> None:
        self._max_bytes = max_bytes
        self._kept_seconds = kept_seconds
        self._builds = root / "builds"
        self._scratch = root / "scratch"
        self._locks = root / "locks"
        try:
            for folder in (self._builds, self._scratch, self._locks):
                folder.mkdir(parents=True, exist_ok=True)
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
        with self._building(key):
            # Another process may have built it while this one waited.
            if found := self.find(key):
                return found
            with self.scratch() as folder:
                fill(folder)
                _write_manifest(folder)
                self._publish(folder, place)
        sweep(self._scratch)
        self._shrink(place)
        return Entry(folder=place, cached=False)

    def find(self, key: str) -> Entry | None:
        """Return the entry of a key if it is there and undamaged."""
        place = self._place(key)
        with locked(self._locks / "store", fcntl.LOCK_SH):
            if not _intact(place):
                return None
            # The time of the last use decides what goes first when the cache is full.
            with contextlib.suppress(OSError):
                os.utime(place / _MANIFEST)
        return Entry(folder=place, cached=True)

    @contextmanager
    def _building(self, key: str) -> Iterator[None]:
        """Be the only process that builds a key; a lost race over the lock's file costs one more compilation."""
        place = self._locks / key
        with locked(place, fcntl.LOCK_EX):
            try:
                yield
            finally:
                place.unlink(missing_ok=True)

    def _place(self, key: str) -> Path:
        return self._builds / key[:2] / key

    def scratch(self) -> AbstractContextManager[Path]:
        """Give an empty folder on the cache's file system, removed afterwards if it is still there."""
        return scratch_folder(self._scratch)

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

    def _shrink(self, latest: Path) -> None:
        """Throw away what was used longest ago until the rest is under the bound.

        What was used within the last minutes stays, since a process may be about to load it, and so does what a
        process holds.
        """
        if self._max_bytes is None:
            return
        entries = sorted((found for place in self._builds.glob("*/*") if (found := _measured(place))), reverse=True)
        total = 0
        for _, size, place in entries:
            total += size
            if total > self._max_bytes and place != latest:
                with locked(self._locks / "store", fcntl.LOCK_EX):
                    if not self._in_use(place):
                        self._discard(place)

    def _in_use(self, place: Path) -> bool:
        found = _measured(place)
        return found is None or time.time() - found[0] < self._kept_seconds or is_held(place)

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
