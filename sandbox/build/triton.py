"""Builds Triton candidates: parses the file and imports it once in the sandbox; launches compile the kernels."""

from __future__ import annotations

import ast
import sys
from importlib.util import find_spec
from pathlib import Path

from sandbox.build.compiler import Compiler
from sandbox.build.python_source import jit_kernels, only_python, parse_python
from sandbox.build.record import Artefacts
from sandbox.build.torch_guard import torch_guard
from sandbox.values import BuildError, BuildErrorKind, Candidate, SourceFile
from tasks.errors import InfraError

ERROR_FILE = "import_error.txt"
"""Where the import's process leaves what is wrong with the candidate."""
_LONGEST_ERROR = 4000


def build_triton(candidate: Candidate, arch: str, compiler: Compiler, folder: Path) -> Artefacts:
    """Check that the candidate can be imported and has its entry and a kernel.

    Raises
    ------
    BuildError
        It is not Python, raises when it is imported, or lacks the entry or any `@triton.jit` function.
    InfraError
        Triton is not installed.
    """
    source = only_python(candidate)
    tree = parse_python(source)
    require_triton()
    kernels = jit_kernels(tree)
    if not kernels:
        raise BuildError(BuildErrorKind.SPEC, f"{source.name} defines no function decorated with @triton.jit", "")
    check_names(tree, source)
    if not _defines(tree, candidate.entry):
        raise BuildError(BuildErrorKind.SPEC, f"{source.name} defines no function `{candidate.entry}`", "")
    log = import_candidate(candidate.entry, source, arch, compiler, folder)
    return Artefacts(library=None, ptx=None, flags=(), log=log, kernels=(), source=source.name, jit=kernels)


def require_triton() -> None:
    """Refuse to go on without Triton.

    Raises
    ------
    InfraError
        It is not installed.
    """
    if find_spec("triton") is None:
        raise InfraError("Triton is not installed; run: pip install 'kernelwright[triton]'")


def check_names(tree: ast.Module, source: SourceFile) -> None:
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


def import_candidate(entry: str, source: SourceFile, arch: str, compiler: Compiler, folder: Path) -> str:
    """Import the candidate in a held process, on a simulated card; returns what it printed.

    Raises
    ------
    BuildError
        It raises, takes too long or too much memory.
    """
    # A folder of its own: what the candidate writes there never becomes part of the build.
    home = folder / "import"
    home.mkdir()
    (home / source.name).write_text(source.text, encoding="utf-8")
    error_file = home / ERROR_FILE
    guard = torch_guard(compiler)
    child = [sys.executable, "-I", "-B", "-m", "sandbox.child.import_check"]
    finished = compiler.run([*child, source.name, entry, arch, str(guard), error_file.name], home, readable=(guard,))
    if error_file.is_file() and not error_file.is_symlink():
        with error_file.open("rb") as file:
            said = file.read(_LONGEST_ERROR).decode(errors="replace")
        raise BuildError(BuildErrorKind.OTHER, said, finished.output)
    if finished.code != 0:
        last = finished.output.strip().splitlines()[-1:] or [f"its process ended with code {finished.code}"]
        raise BuildError(BuildErrorKind.OTHER, f"{source.name} cannot be imported: {last[0][:300]}", finished.output)
    (folder / source.name).write_text(source.text, encoding="utf-8")
    return finished.output


def _defines(tree: ast.Module, entry: str) -> bool:
    """Tell whether the module has a name at its top level."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == entry:
            return True
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == entry for target in node.targets):
            return True
    return False
