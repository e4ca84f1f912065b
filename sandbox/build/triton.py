"""Builds Triton candidates: parses the file and imports it once in the sandbox; launches compile the kernels."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

from sandbox.build.compiler import Compiler
from sandbox.build.python_source import import_candidate, jit_kernels, only_python, parse_python, refuse_renamed
from sandbox.build.record import Artefacts
from sandbox.values import BuildError, BuildErrorKind, Candidate
from tasks.errors import InfraError


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
    jit = jit_kernels(tree)
    if not jit:
        raise BuildError(BuildErrorKind.SPEC, f"{source.name} defines no function decorated with @triton.jit", "")
    refuse_renamed(tree, source)
    if not _defines(tree, candidate.entry):
        raise BuildError(BuildErrorKind.SPEC, f"{source.name} defines no function `{candidate.entry}`", "")
    imported = import_candidate(candidate, jit, arch, compiler, folder)
    return Artefacts(library=None, ptx=None, flags=(), log=imported.log, kernels=(), source=source.name, jit=jit)


def require_triton() -> None:
    """Look for Triton, which is an optional dependency; importing it would cost a second.

    Raises
    ------
    InfraError
        It is not installed.
    """
    if find_spec("triton") is None:
        raise InfraError("Triton is not installed; run: pip install 'kernelwright[triton]'")


def _defines(tree: ast.Module, entry: str) -> bool:
    """Tell whether the module has a name at its top level."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == entry:
            return True
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == entry for target in node.targets):
            return True
    return False
