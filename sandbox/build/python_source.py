"""What builds of Python candidates share: the one file, its syntax and kernels, and one import in the sandbox."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from sandbox.build.cache import content_key
from sandbox.build.compiler import Compiler
from sandbox.candidate import open_candidate
from sandbox.values import (
    Build,
    BuildError,
    BuildErrorKind,
    Candidate,
    Device,
    DeviceKind,
    ExitState,
    KernelResources,
    SourceFile,
)
from simgpu.specs import device_spec, known_devices

_LONGEST_SOURCE = 400_000
"""Characters. The parser's memory grows with the text, and it runs outside the sandbox."""
_PACKAGES = ("torch", "triton")


def only_python(candidate: Candidate) -> SourceFile:
    """Return the candidate's one file.

    Raises
    ------
    BuildError
        There is not exactly one `.py` file, or it is too long.
    """
    if len(candidate.files) != 1 or not candidate.files[0].name.endswith(".py"):
        names = ", ".join(file.name for file in candidate.files) or "none"
        raise BuildError(BuildErrorKind.SPEC, f"a {candidate.language} candidate is one .py file, not {names}", "")
    source = candidate.files[0]
    if len(source.text) > _LONGEST_SOURCE:
        raise BuildError(
            BuildErrorKind.SPEC, f"{source.name} has {len(source.text)} characters, {_LONGEST_SOURCE} are read", ""
        )
    return source


def parse_python(source: SourceFile) -> ast.Module:
    """Parse a file; nothing of it is executed.

    Raises
    ------
    BuildError
        It is not Python, or nested too deeply to be read.
    """
    try:
        return ast.parse(source.text, source.name)
    except SyntaxError as error:
        text = (error.text or "").strip()[:200]
        place = f"{source.name}:{error.lineno}"
        raise BuildError(BuildErrorKind.SYNTAX, f"{place}: {error.msg}\n    {text}", str(error)) from error
    except (ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or type(error).__name__
        raise BuildError(BuildErrorKind.SYNTAX, f"{source.name}: cannot be parsed ({reason})", reason) from error


def jit_kernels(tree: ast.Module) -> tuple[str, ...]:
    """Return the names of the functions that are decorated with `triton.jit`, in the order of the file."""
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and any(_is_jit(decorator) for decorator in node.decorator_list)
    ]
    return tuple(dict.fromkeys(node.name for node in sorted(found, key=lambda node: node.lineno)))


def _is_jit(decorator: ast.expr) -> bool:
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name == "jit"


def refuse_renamed(tree: ast.Module, source: SourceFile) -> None:
    """Refuse kernels that would be launched under another name than that of their function.

    Raises
    ------
    BuildError
        A kernel is decorated with `triton.jit(repr=...)`.
    """
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and any(keyword.arg == "repr" for keyword in decorator.keywords):
                place = f"{source.name}:{node.lineno}"
                renamed = f"{place}: `repr` renames the kernel `{node.name}`, so its launches could not be told"
                raise BuildError(BuildErrorKind.SPEC, renamed, "")


@dataclass(frozen=True, slots=True)
class Imported:
    """What one import of a candidate gave."""

    log: str
    """What it printed, then what its extensions' compilers printed."""
    kernels: tuple[KernelResources, ...]
    """Kernels of the extensions that it had built."""


def import_candidate(
    candidate: Candidate, jit: tuple[str, ...], arch: str, compiler: Compiler, folder: Path
) -> Imported:
    """Load the candidate once in a held process, on a simulated card, and leave its file in `folder`.

    Raises
    ------
    BuildError
        It raises, crashes, takes too long or too much memory; or an extension that it wants does not build.
    """
    source = only_python(candidate)
    # A folder of its own: whatever the candidate does to files there never becomes part of the build.
    home = folder / "import"
    home.mkdir()
    (home / source.name).write_text(source.text, encoding="utf-8")
    provisional = Build(
        candidate_hash=candidate.content_hash,
        language=candidate.language,
        entry=candidate.entry,
        arch=arch,
        folder=home,
        library=None,
        ptx=None,
        toolchain=python_toolchain(),
        flags=(),
        log="",
        kernels=(),
        seconds=0.0,
        cached=False,
        source=source.name,
        jit=jit,
    )
    device = Device(kind=DeviceKind.SIM, model=_card_for(arch), arch=arch)
    with open_candidate(provisional, device, limits=compiler.limits, settings=compiler.settings) as session:
        loaded = session.load()
        printed = session.output
    if session.build_errors:
        raise session.build_errors[0]
    if loaded.state is not ExitState.OK:
        kind = BuildErrorKind.TIMEOUT if loaded.state is ExitState.TIMEOUT else BuildErrorKind.OTHER
        raise BuildError(kind, f"{source.name} cannot be imported: {loaded.message}", printed)
    (folder / source.name).write_text(source.text, encoding="utf-8")
    logs = (printed, *(built.log for built in session.extensions))
    return Imported("\n".join(log for log in logs if log), loaded.kernels)


def _card_for(arch: str) -> str:
    """Return a card of an architecture, any card where none has it: little but the import runs on it."""
    names = known_devices()
    return next((name for name in names if device_spec(name).arch == arch), names[0])


def python_key(candidate: Candidate, compiler: Compiler) -> str:
    """Return the part of the cache key that is particular to Python candidates: what imports them."""
    del candidate, compiler
    return content_key(*(f"{name} {_version(name)}" for name in _PACKAGES))


def python_toolchain() -> str:
    """Return the versions of what runs Python candidates, in one line."""
    return ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"
