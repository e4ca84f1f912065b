"""Builds whole CUDA programs: sources with a `main`, and whatever they include."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from sandbox.build.cache import BuildCache, content_key
from sandbox.build.compiler import FORMAT, Compiler, link_flags, nvcc_flags
from sandbox.build.diagnosis import build_error
from sandbox.holding import SHARED_MEMORY, TEMPORARY
from sandbox.isolation import choose_isolation
from sandbox.settings import SandboxSettings
from sandbox.toolchain import find_toolchain
from tasks.errors import UserError

_PROGRAM = "program.so"
_SYSTEM = Path("/usr")
"""Headers below it belong to the compiler, whose version is part of the key."""
_SOURCES_AND_HEADERS = frozenset(
    [".cu", ".cuh", ".h", ".hh", ".hpp", ".hxx", ".inc", ".inl", ".ipp", ".tpp", ".c", ".cc", ".cpp", ".cxx"]
)
_OWN_NAMES = ("-Xlinker", "-Bsymbolic")
"""In a program of its own, a name that the C library has too means the program's."""


def compile_program(
    sources: Sequence[Path],
    arch: str,
    settings: SandboxSettings | None = None,
    *,
    include: Sequence[Path] = (),
    flags: Sequence[str] = (),
) -> Path:
    """Compile a whole CUDA program into a shared object that exports its `main`.

    Cached by the contents of the sources and of every header that they include.

    Parameters
    ----------
    sources
        The `.cu` and `.cpp` files; they may include headers from their own folders.
    arch
        Real architecture.
    settings
        Cache folder, isolation and limits; read from the environment by default.
    include
        Further folders for headers.
    flags
        Further flags for nvcc.

    Raises
    ------
    BuildError
        The program does not build.
    UserError
        One of the files or folders does not exist.
    """
    _check_paths(sources, include)
    settings = settings or SandboxSettings.load()
    compiler = Compiler(find_toolchain(), choose_isolation(settings.isolation), settings.compile_limits, settings)
    files = tuple(source.resolve() for source in sources)
    folders = tuple(dict.fromkeys([*(file.parent for file in files), *(folder.resolve() for folder in include)]))
    readable = tuple(path for folder in folders for path in _shown(folder))
    nvcc = [str(compiler.toolchain.nvcc), *nvcc_flags(arch), *_OWN_NAMES, *link_flags(compiler.toolchain), *flags]
    nvcc += [part for folder in folders for part in ("-I", str(folder))]
    cache = BuildCache(settings.cache_dir)
    included = sorted({path for file in files for path in _dependencies([*nvcc, str(file)], compiler, cache, readable)})
    key = content_key(
        FORMAT,
        "program",
        arch,
        compiler.toolchain.identity,
        *nvcc_flags(arch),
        *_OWN_NAMES,
        *flags,
        *map(str, files),
        *(part for path in included for part in (str(path), path.read_bytes())),
    )

    def fill(folder: Path) -> None:
        finished = compiler.run([*nvcc, *map(str, files), "-o", _PROGRAM], folder, readable=readable)
        if finished.code != 0:
            raise build_error(finished.output)

    return cache.entry(key, fill).folder / _PROGRAM


def _shown(folder: Path) -> Iterable[Path]:
    """Return what of a folder a compiler is shown: all of it, unless the sandbox has its own in or above that place.

    Of such a folder, `/tmp` for one, it is the sources and headers right in it.
    """
    if not any(Path(own).is_relative_to(folder) for own in (TEMPORARY, SHARED_MEMORY)):
        return (folder,)
    return sorted(path for path in folder.iterdir() if path.suffix in _SOURCES_AND_HEADERS and path.is_file())


def _check_paths(sources: Sequence[Path], include: Sequence[Path]) -> None:
    """Refuse sources and folders that are not there."""
    for source in sources:
        if not source.is_file():
            raise UserError(f"{source} is not a file; name a CUDA source such as program.cu")
    for folder in include:
        if not folder.is_dir():
            raise UserError(f"{folder} is not a folder with headers")


def _dependencies(command: Sequence[str], compiler: Compiler, cache: BuildCache, readable: Sequence[Path]) -> set[Path]:
    """Return the files that the compilation of one source would read, the compilers' own left out."""
    with cache.scratch() as folder:
        finished = compiler.run([*command, "-M", "-MF", "rule"], folder, readable=readable)
        if finished.code != 0:
            raise build_error(finished.output)
        rule = (folder / "rule").read_text(encoding="utf-8")
    # `program.o : first.cu \` and a file on each further line; blanks within names are escaped as for a shell.
    _, _, names = rule.replace("\\\n", " ").partition(" : ")
    own = (compiler.toolchain.cuda.resolve(), _SYSTEM)
    paths = {Path(name).resolve() for name in shlex.split(names)}
    return {path for path in paths if not any(path.is_relative_to(root) for root in own)}
