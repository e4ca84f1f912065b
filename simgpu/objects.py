"""Machine code on disk, by content, so that a kernel is compiled once per machine.

The key covers everything that the code depends on: the generated LLVM text, the processor and its features, the
release of LLVM, and the way of compiling. A stale entry therefore cannot be found. An entry is native code that runs in
this process: it is read only from folders and files that nobody but this user (or root) can write.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from functools import cache
from pathlib import Path

import platformdirs

FOLDER_VARIABLE = "KERNELWRIGHT_CACHE_DIR"
"""Environment variable that names the folder under which caches lie, instead of the user's cache folder."""
_LIMIT_BYTES = 256 << 20
_MAGIC = b"simgpu-object-1\n"
_DIGEST_BYTES = 32
_SUFFIX = ".obj"


def content_key(*parts: str) -> str:
    """Return the name of an entry that depends on these parts."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


class ObjectCache:
    """A folder of compiled objects; any number of processes may share it.

    A folder that is missing, read-only, full or not trustworthy costs the saving, never an error.

    Parameters
    ----------
    folder
        Where entries lie; made when the first one is stored.
    limit_bytes
        The entries used longest ago are dropped beyond this size.
    """

    def __init__(self, folder: Path, limit_bytes: int = _LIMIT_BYTES) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes

    def load(self, key: str) -> bytes | None:
        """Return an entry; None when there is none or it is damaged."""
        path = self.folder / (key + _SUFFIX)
        try:
            with path.open("rb") as file:
                if not (_ours(os.fstat(file.fileno())) and _ours(self.folder.stat())):
                    return None
                data = file.read()
        except OSError:
            return None
        payload = data[len(_MAGIC) + _DIGEST_BYTES :]
        if data[: -len(payload) or None] != _MAGIC + hashlib.sha256(payload).digest():
            return None
        self._mark_used(path)
        return payload

    def store(self, key: str, payload: bytes) -> None:
        """Publish an entry at once and whole; an entry of the same key is replaced."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
                try:
                    file.write(_MAGIC + hashlib.sha256(payload).digest() + payload)
                    file.close()
                    Path(file.name).replace(self.folder / (key + _SUFFIX))
                except OSError:
                    Path(file.name).unlink(missing_ok=True)
                    raise
            self._prune()
        except OSError:
            return

    @staticmethod
    def _mark_used(path: Path) -> None:
        try:
            os.utime(path)
        except OSError:
            return  # read-only: the order of use is somebody else's to keep

    def _prune(self) -> None:
        entries = []
        for path in self.folder.iterdir():
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # another process pruned it
            entries.append((status.st_mtime_ns, status.st_size, path))
        excess = sum(size for _, size, _ in entries) - self.limit_bytes
        for _, size, path in sorted(entries):
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            excess -= size


def _ours(status: os.stat_result) -> bool:
    """Whether nobody but this user and root can have written it."""
    return status.st_uid in {0, os.getuid()} and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def default_folder() -> Path:
    """Return the folder of compiled objects: under `KERNELWRIGHT_CACHE_DIR`, or in the user's cache folder."""
    named = os.environ.get(FOLDER_VARIABLE)
    return (Path(named) if named else Path(platformdirs.user_cache_dir("kernelwright"))) / "simgpu"


@cache
def default_cache() -> ObjectCache:
    """Return the cache that is used where none is given, the same for the whole life of the process."""
    return ObjectCache(default_folder())
