"""The builds of every language behind one function."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandbox.build.cache import BuildCache, content_key
from sandbox.build.compiler import FORMAT, Compiler, nvcc_flags
from sandbox.build.cuda import build_cuda, cuda_key
from sandbox.build.python_source import python_key, python_toolchain
from sandbox.build.raw import build_raw, raw_key
from sandbox.build.record import Artefacts, read_build, write_build
from sandbox.build.triton import build_triton
from sandbox.isolation import choose_isolation
from sandbox.settings import SandboxSettings
from sandbox.toolchain import find_toolchain
from sandbox.values import Build, BuildError, BuildErrorKind, Candidate, Language, Limits

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Builder:
    """How candidates of one language are built."""

    key: Callable[[Candidate, Compiler], str]
    """The part of the cache key that is particular to the language."""
    compile: Callable[[Candidate, str, Compiler, Path], Artefacts]
    """Compiles for an architecture into a folder."""


_LANGUAGES = {
    Language.CUDA: _Builder(cuda_key, build_cuda),
    Language.RAW: _Builder(raw_key, build_raw),
    Language.TRITON: _Builder(python_key, build_triton),
}


def build(
    candidate: Candidate, arch: str, settings: SandboxSettings | None = None, limits: Limits | None = None
) -> Build:
    """Build a candidate for one architecture, or return what was built before from the same content.

    Parameters
    ----------
    candidate
        The source.
    arch
        Real architecture, for instance `sm_90`.
    settings
        Cache folder and isolation; read from the environment by default.
    limits
        What the compilation may use; the settings' by default.

    Raises
    ------
    BuildError
        The candidate does not build.
    InfraError
        A compiler is missing, or the cache cannot be written.
    """
    _check_names(candidate)
    settings = settings or SandboxSettings.load()
    compiler = _compiler(settings, limits)
    key = content_key(
        FORMAT,
        candidate.content_hash,
        arch,
        compiler.toolchain.identity,
        *nvcc_flags(arch),
        _LANGUAGES[candidate.language].key(candidate, compiler),
    )
    entry = BuildCache(settings.cache_dir).entry(key, lambda folder: _compile(candidate, arch, compiler, folder))
    return read_build(entry.folder, cached=entry.cached)


def _check_names(candidate: Candidate) -> None:
    """Refuse file names that lead out of the folder of the build."""
    names = [file.name for file in candidate.files]
    for name in names:
        if not _FILE_NAME.fullmatch(name) or names.count(name) > 1:
            raise BuildError(BuildErrorKind.SPEC, f"`{name}` is not a plain file name, or is given twice", "")


def _compile(candidate: Candidate, arch: str, compiler: Compiler, folder: Path) -> None:
    """Fill the folder of a cache entry: sources, artefacts, and the record of the build."""
    start = time.monotonic()
    work = folder / "work"
    work.mkdir()
    made = _LANGUAGES[candidate.language].compile(candidate, arch, compiler, work)
    for name in (*(file.name for file in candidate.files), made.ptx, made.library):
        # Files that the language does not use are left behind.
        if name and (work / name).is_file():
            (work / name).rename(folder / name)
    shutil.rmtree(work)
    build_made = Build(
        candidate_hash=candidate.content_hash,
        language=candidate.language,
        entry=candidate.entry,
        arch=arch,
        folder=folder,
        toolchain=python_toolchain() if candidate.language.is_python else compiler.toolchain.identity,
        seconds=time.monotonic() - start,
        cached=False,
        **made.model_dump(),
    )
    write_build(folder, build_made)


def _compiler(settings: SandboxSettings, limits: Limits | None) -> Compiler:
    isolation = choose_isolation(settings.isolation)
    return Compiler(find_toolchain(), isolation, limits or settings.compile_limits, settings.cache_dir)
