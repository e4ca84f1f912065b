"""Builds `modelnew` candidates: imports the file once in the sandbox, and builds the extensions that it asks for.

An inline extension is a CUDA candidate of its own, compiled and cached like any other.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from pathlib import Path

from sandbox.build.compiler import Compiler
from sandbox.build.python_source import import_candidate, jit_kernels, only_python, parse_python, refuse_renamed
from sandbox.build.record import Artefacts
from sandbox.evidence import ExtensionRequest
from sandbox.values import MODEL_CLASS, BuildError, BuildErrorKind, Candidate, Language, SourceFile

EXTENSION_FILE = "extension.cu"
_FUNCTION = re.compile(r"[A-Za-z_]\w{0,99}", re.ASCII)
_DEFINE = re.compile(r"-D\s*([A-Za-z_]\w*)(?:=([\w.+-]*))?", re.ASCII)
_BINDING = re.compile(r"\bPYBIND11_MODULE\s*\(")
_LONGEST_SOURCE = 1_000_000

# What changes the meaning or the speed of device code and takes in no file.
_PASSED = re.compile(
    r"(--?use_fast_math|--?f(tz|mad)=(true|false)|--?prec-(div|sqrt)=(true|false)|--?maxrregcount[= ]\d{1,3}"
    r"|--?extra-device-vectorization|--?expt-extended-lambda|--?extended-lambda|-Xptxas[= ]-dlcm=c[ag])",
    re.ASCII,
)
# What this build decides by itself: optimisation, architecture, language, host compiler's warnings, debug information.
_DECIDED = re.compile(
    r"(-O\d?|--?optimize[= ]\d|-Xptxas([= ]-(O\d|v))?|-v|--ptxas-options=-(O\d|v)|-std=c\+\+\d\d|--std[= ]c\+\+\d\d"
    r"|-?-gencode([= ].*)?|-arch([= ].*)?|--gpu-architecture([= ].*)?|-w|-W\w[\w-]*|--?expt-relaxed-constexpr"
    r"|-lineinfo|--generate-line-info|-G|-g|--threads[= ]\d+|-U__CUDA_NO_\w+__|-Xcompiler[= ]-(O\d|fPIC|w|W[\w-]*)"
    r"|arch=compute_\w+,code=\S+|sm_\d+\w?|compute_\d+\w?|-Xcompiler|-fPIC|-diag-suppress[= ]\d+)",
    re.ASCII,
)


def build_modelnew(candidate: Candidate, arch: str, compiler: Compiler, folder: Path) -> Artefacts:
    """Check that the candidate can be imported, and build what it asks for meanwhile.

    Raises
    ------
    BuildError
        It is not Python, raises when it is imported, defines no `class ModelNew`, or an extension does not build.
    """
    source = only_python(candidate)
    tree = parse_python(source)
    refuse_renamed(tree, source)
    if not any(isinstance(node, ast.ClassDef) and node.name == MODEL_CLASS for node in tree.body):
        raise BuildError(BuildErrorKind.SPEC, f"{source.name} defines no `class {MODEL_CLASS}`", "")
    jit = jit_kernels(tree)
    imported = import_candidate(candidate, jit, arch, compiler, folder)
    return Artefacts(
        library=None, ptx=None, flags=(), log=imported.log, kernels=imported.kernels, source=source.name, jit=jit
    )


def extension_candidate(request: ExtensionRequest) -> Candidate:
    """Return the CUDA candidate that an extension is.

    The sources keep their order; definitions by `-D` stand before them, and a module that binds the wanted functions
    behind them unless the sources have one.

    Raises
    ------
    BuildError
        It names no function, or something that is no function's name, or is too long.
    """
    if not request.functions or not all(_FUNCTION.fullmatch(name) for name in request.functions):
        names = ", ".join(request.functions)[:200] or "none"
        raise BuildError(BuildErrorKind.SPEC, f"the extension's functions are no function names: {names}", "")
    if len(request.source) > _LONGEST_SOURCE:
        raise BuildError(BuildErrorKind.SPEC, f"the extension has {len(request.source)} characters of source", "")
    defines = [f"#define {found[1]} {found[2] or 1}" for flag in request.flags if (found := _DEFINE.fullmatch(flag))]
    parts = [*defines, "#include <torch/extension.h>", "#line 1", request.source]
    if not _BINDING.search(request.source):
        bound = " ".join(f'm.def("{name}", &{name});' for name in request.functions)
        parts.append(f"PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {{ {bound} }}")
    others = request.functions[1:]
    if others:
        exports = "\n".join(f"KERNELWRIGHT_EXPORT_BINDING({name})" for name in others)
        parts.append(f"#include <kernelwright/bindings.h>\n{exports}")
    text = "\n".join(parts) + "\n"
    file = SourceFile(name=EXTENSION_FILE, text=text)
    return Candidate(language=Language.CUDA, files=(file,), entry=request.functions[0])


def extension_flags(flags: Sequence[str]) -> tuple[str, ...]:
    """Return the flags of an extension that reach the compiler; those that the build decides itself are dropped.

    Raises
    ------
    BuildError
        A flag is neither: it could take in files or change what is linked.
    """
    passed = []
    for flag in flags:
        if _PASSED.fullmatch(flag):
            passed.append(flag)
        elif not (_DECIDED.fullmatch(flag) or _DEFINE.fullmatch(flag)):
            raise BuildError(BuildErrorKind.SPEC, f"the compiler flag `{flag[:100]}` is not taken", "")
    return tuple(dict.fromkeys(passed))
