"""Builds candidates in the PyTorch extension style, against the light headers in `sandbox/include`."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from sandbox.build.cache import content_key
from sandbox.build.compiler import Compiler, link_flags, nvcc_flags
from sandbox.build.diagnosis import ENTRY_FILE, build_error, kernel_resources
from sandbox.build.record import Artefacts
from sandbox.values import BuildError, BuildErrorKind, Candidate, SourceFile

LIBRARY = "candidate.so"
PTX = "candidate.ptx"

_REGISTERS = re.compile(r"\b(?:PYBIND11_MODULE|TORCH_LIBRARY\w*)\s*\(")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)

_DIRECT = """\
#include "{source}"
#include <kernelwright/export.h>
KERNELWRIGHT_EXPORT({entry})
"""
_BOUND = """\
#include "{source}"
#include <kernelwright/bindings.h>
KERNELWRIGHT_EXPORT_BINDING({entry})
"""


def cuda_key(candidate: Candidate, compiler: Compiler) -> str:
    """Return the part of the cache key that is particular to this language."""
    return content_key(headers_hash(compiler.toolchain.headers), entry_source(candidate))


def build_cuda(candidate: Candidate, arch: str, compiler: Compiler, folder: Path) -> Artefacts:
    """Compile into `folder`.

    Raises
    ------
    BuildError
        The source does not compile or link, or the candidate is not one `.cu` file.
    """
    source = only_source(candidate)
    (folder / source.name).write_text(source.text, encoding="utf-8")
    (folder / ENTRY_FILE).write_text(entry_source(candidate), encoding="utf-8")
    keep = folder / "keep"
    keep.mkdir()
    tools = compiler.toolchain
    flags = nvcc_flags(arch)
    folders = (tools.headers / "light", tools.headers / "shared", tools.tvm_ffi / "include")
    includes = [part for path in folders for part in ("-isystem", str(path))]
    linked = (*link_flags(tools), "-Xlinker", str(tools.tvm_ffi_library))
    output = ("--keep", "--keep-dir", keep.name, ENTRY_FILE, "-o", LIBRARY)
    finished = compiler.run([str(tools.nvcc), *flags, *linked, *includes, *output], folder)
    if finished.code != 0:
        raise build_error(finished.output, candidate.entry)
    (keep / Path(ENTRY_FILE).with_suffix(".ptx")).rename(folder / PTX)
    return Artefacts(
        library=LIBRARY, ptx=PTX, flags=flags, log=finished.output, kernels=kernel_resources(finished.output)
    )


def only_source(candidate: Candidate) -> SourceFile:
    """Return the candidate's one `.cu` file.

    Raises
    ------
    BuildError
        There is none, or more than one, or it has the name of the generated file.
    """
    sources = [file for file in candidate.files if file.name.endswith(".cu")]
    if len(sources) != 1:
        raise BuildError(BuildErrorKind.SPEC, f"a candidate has one .cu file, not {len(sources)}", "")
    if sources[0].name == ENTRY_FILE:
        raise BuildError(BuildErrorKind.SPEC, f"`{ENTRY_FILE}` is the name of the generated entry", "")
    return sources[0]


def entry_source(candidate: Candidate) -> str:
    """Return the generated file: the candidate's source, then the export of its entry."""
    source = only_source(candidate)
    if not re.fullmatch(r"[A-Za-z_]\w*", candidate.entry, re.ASCII):
        raise BuildError(BuildErrorKind.SPEC, f"the entry `{candidate.entry}` is not a function name", "")
    code = _COMMENT.sub(" ", source.text)
    # A module or a library that binds a function under the entry's name says which function to call.
    bound = _REGISTERS.search(code) and re.search(rf'\.\s*(?:def|impl)\s*\(\s*"(?:\w+::)?{candidate.entry}["(.]', code)
    return (_BOUND if bound else _DIRECT).format(source=source.name, entry=candidate.entry)


@lru_cache(maxsize=4)
def headers_hash(root: Path) -> str:
    """Hash our headers, names and contents."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return content_key(*(part for path in files for part in (str(path.relative_to(root)), path.read_bytes())))
