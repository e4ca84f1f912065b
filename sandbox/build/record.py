"""What a compilation leaves in its cache entry, and how a `Build` is read back from it."""

from __future__ import annotations

from pathlib import Path

from sandbox.values import Build, BuildWarning, HeaderKind, KernelResources
from tasks.values import Value

_RECORD = "build.json"


class Artefacts(Value):
    """What one language's compiler made in the folder of a cache entry."""

    library: str | None
    """Shared object, if the language has one."""
    ptx: str | None
    """PTX file, if the language has one at this stage."""
    flags: tuple[str, ...]
    """Compiler flags, paths left out."""
    log: str
    """What the compilers printed."""
    kernels: tuple[KernelResources, ...]
    """Resources of each kernel."""
    warnings: tuple[BuildWarning, ...] = ()
    """What the compilers warned of."""
    sass: str | None = None
    """Listing of the machine code, if there is one."""
    headers: HeaderKind | None = None
    """Whose headers an extension was compiled against."""
    more_archs: tuple[str, ...] = ()
    """Architectures besides that of the device."""
    source: str | None = None
    """Python file that is imported, if the language has one."""
    jit: tuple[str, ...] = ()
    """Kernels that are compiled when they are launched."""


def write_build(folder: Path, build: Build) -> None:
    """Write the record of a build into its folder."""
    (folder / _RECORD).write_text(build.model_dump_json(indent=1), encoding="utf-8")


def read_build(folder: Path, *, cached: bool) -> Build:
    """Read the record of a build, with the folder that it now stands in."""
    build = Build.model_validate_json((folder / _RECORD).read_text(encoding="utf-8"))
    return build.model_copy(update={"folder": folder, "cached": cached})
