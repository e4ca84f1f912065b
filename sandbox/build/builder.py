"""The builds of every language behind one function."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sandbox.build.cache import BuildCache, content_key
from sandbox.build.compiler import FORMAT, Compiler, nvcc_flags
from sandbox.build.cuda import ExtensionBuilder
from sandbox.build.headers import why_full
from sandbox.build.modelnew import build_modelnew
from sandbox.build.python_source import python_key, python_toolchain
from sandbox.build.raw import build_raw, raw_key
from sandbox.build.record import Artefacts, read_build, write_build
from sandbox.build.refusals import refuse
from sandbox.build.triton import build_triton
from sandbox.isolation import choose_isolation
from sandbox.settings import HeaderChoice, SandboxSettings
from sandbox.toolchain import find_toolchain
from sandbox.values import (
    Build,
    BuildError,
    Candidate,
    HeaderAttempt,
    HeaderKind,
    Language,
    Limits,
)


class _Builder(Protocol):
    """Builds candidates of one language."""

    def key(self, candidate: Candidate, compiler: Compiler) -> str:
        """Return the part of the cache key that is particular to the language."""

    def compile(self, candidate: Candidate, arch: str, compiler: Compiler, folder: Path) -> Artefacts:
        """Compile for an architecture into a folder."""


@dataclass(frozen=True, slots=True)
class _FunctionBuilder:
    """A builder that two functions make."""

    key: Callable[[Candidate, Compiler], str]
    compile: Callable[[Candidate, str, Compiler, Path], Artefacts]


_LANGUAGES = {
    Language.RAW: _FunctionBuilder(raw_key, build_raw),
    Language.TRITON: _FunctionBuilder(python_key, build_triton),
    Language.MODELNEW: _FunctionBuilder(python_key, build_modelnew),
}


def build(
    candidate: Candidate,
    arch: str,
    settings: SandboxSettings | None = None,
    limits: Limits | None = None,
    *,
    flags: tuple[str, ...] = (),
    more_archs: tuple[str, ...] = (),
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
    flags
        Further compiler flags for device code (`cuda`).
    more_archs
        Architectures to hold machine code for besides (`cuda`).

    Raises
    ------
    BuildError
        The candidate does not build.
    InfraError
        A compiler is missing, or the cache cannot be written.
    """
    refuse(candidate)
    settings = settings or SandboxSettings.load()
    compiler = _compiler(settings, limits, flags)
    job = _Job(candidate, arch, compiler, BuildCache(settings.cache_dir, settings.cache_bytes))
    if candidate.language is not Language.CUDA:
        return job.built(_LANGUAGES[candidate.language])
    light = ExtensionBuilder(HeaderKind.LIGHT, more_archs)
    full = ExtensionBuilder(HeaderKind.FULL, more_archs, limits or settings.full_compile_limits)
    if settings.headers is HeaderChoice.AUTO:
        return _first_that_builds(job, light, full)
    return job.built(light if settings.headers is HeaderChoice.LIGHT else full)


@dataclass(frozen=True, slots=True)
class _Job:
    """One candidate, for one architecture."""

    candidate: Candidate
    arch: str
    compiler: Compiler
    cache: BuildCache

    def built(self, builder: _Builder, earlier: tuple[HeaderAttempt, ...] = ()) -> Build:
        """Return the build, from the cache where it stands there."""
        entry = self.cache.entry(self._key(builder), lambda folder: self._fill(builder, earlier, folder))
        return read_build(entry.folder, cached=entry.cached)

    def found(self, builder: _Builder) -> Build | None:
        """Return the build if it stands in the cache."""
        entry = self.cache.find(self._key(builder))
        return read_build(entry.folder, cached=True) if entry else None

    def _key(self, builder: _Builder) -> str:
        tools = self.compiler.toolchain
        specific = builder.key(self.candidate, self.compiler)
        flags = (*nvcc_flags(self.arch), *self.compiler.flags)
        return content_key(FORMAT, self.candidate.content_hash, self.arch, tools.identity, *flags, specific)

    def _fill(self, builder: _Builder, earlier: tuple[HeaderAttempt, ...], folder: Path) -> None:
        """Fill the folder of a cache entry: sources, artefacts, and the record of the build."""
        start = time.monotonic()
        work = folder / "work"
        work.mkdir()
        made = builder.compile(self.candidate, self.arch, self.compiler, work)
        sources = (file.name for file in self.candidate.files)
        for name in (*sources, made.ptx, made.library, made.sass):
            # Files that the language does not use are left behind.
            if name and (work / name).is_file():
                (work / name).rename(folder / name)
        shutil.rmtree(work)
        seconds = time.monotonic() - start
        attempts = (*earlier, HeaderAttempt(headers=made.headers, seconds=seconds)) if made.headers else ()
        candidate = self.candidate
        build_made = Build(
            candidate_hash=candidate.content_hash,
            language=candidate.language,
            entry=candidate.entry,
            arch=self.arch,
            folder=folder,
            toolchain=python_toolchain() if candidate.language.is_python else self.compiler.toolchain.identity,
            seconds=sum(attempt.seconds for attempt in attempts) if attempts else seconds,
            cached=False,
            attempts=attempts,
            **made.model_dump(),
        )
        write_build(folder, build_made)


def _first_that_builds(job: _Job, light: ExtensionBuilder, full: ExtensionBuilder) -> Build:
    """Build with the light headers, or with the full ones when the light ones lack what the source asks for."""
    for builder in (light, full):
        if found := job.found(builder):
            return found
    start = time.monotonic()
    try:
        return job.built(light)
    except BuildError as error:
        failure = why_full(error)
        if not failure:
            raise
        earlier = HeaderAttempt(headers=HeaderKind.LIGHT, seconds=time.monotonic() - start, failure=failure)
    try:
        return job.built(full, (earlier,))
    except BuildError as error:
        summary = f"{error.summary}\n(with PyTorch's full headers; with the light ones: {failure})"
        raise BuildError(error.kind, summary, error.log) from error


def _compiler(settings: SandboxSettings, limits: Limits | None, flags: tuple[str, ...]) -> Compiler:
    isolation = choose_isolation(settings.isolation)
    return Compiler(find_toolchain(), isolation, limits or settings.compile_limits, settings, flags)
