"""Builds candidates in the PyTorch extension style, against our light headers or PyTorch's full ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sandbox.build.cache import content_key
from sandbox.build.compiler import Compiler, link_flags, nvcc_flags, virtual_arch
from sandbox.build.diagnosis import ENTRY_FILE, build_error, build_warnings, kernel_resources
from sandbox.build.headers import HeaderSet, brought_along, explained, header_set
from sandbox.build.record import Artefacts
from sandbox.toolchain import Toolchain
from sandbox.values import BuildError, BuildErrorKind, Candidate, HeaderKind, Limits, SourceFile

LIBRARY = "candidate.so"
PTX = "candidate.ptx"
SASS = "candidate.sass"

_REGISTERS = re.compile(r"\b(?:PYBIND11_MODULE|TORCH_LIBRARY\w*)\s*\(")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)

_DIRECT = """\
{prelude}#include "{source}"
#include <kernelwright/export.h>
KERNELWRIGHT_EXPORT({entry})
"""
_BOUND = """\
{prelude}#include "{source}"
#include <kernelwright/bindings.h>
KERNELWRIGHT_EXPORT_BINDING({entry})
"""


@dataclass(frozen=True, slots=True)
class ExtensionBuilder:
    """Builds one kind of source against one kind of headers.

    Parameters
    ----------
    headers
        Whose headers.
    more_archs
        Architectures to hold machine code for besides that of the device.
    limits
        In place of the limits of every compilation.
    """

    headers: HeaderKind
    more_archs: tuple[str, ...] = ()
    limits: Limits | None = None

    def key(self, candidate: Candidate, compiler: Compiler) -> str:
        """Return the part of the cache key that is particular to this language."""
        headers = header_set(self.headers, compiler.toolchain)
        entry = entry_source(candidate, headers, compiler.toolchain)
        listed = "sass" if compiler.toolchain.nvdisasm else ""
        flags = (*self.more_archs, headers.standard, *headers.flags)
        return content_key(headers.identity, entry, listed, *flags)

    def compile(self, candidate: Candidate, arch: str, compiler: Compiler, folder: Path) -> Artefacts:
        """Compile into `folder` for an architecture and what `more_archs` names.

        Raises
        ------
        BuildError
            The source does not compile or link, or the candidate is not one `.cu` file.
        """
        source = only_source(candidate)
        headers = header_set(self.headers, compiler.toolchain)
        (folder / source.name).write_text(source.text, encoding="utf-8")
        entry = entry_source(candidate, headers, compiler.toolchain)
        (folder / ENTRY_FILE).write_text(entry, encoding="utf-8")
        keep = folder / "keep"
        keep.mkdir()
        flags = (*nvcc_flags(arch, *self.more_archs, standard=headers.standard), *headers.flags, *compiler.flags)
        command = [str(compiler.toolchain.nvcc), *flags, *_paths(headers, compiler.toolchain)]
        output = ("--keep", "--keep-dir", keep.name, ENTRY_FILE, "-o", LIBRARY)
        readable = (*headers.folders, *(library.parent for library in headers.libraries))
        finished = compiler.run([*command, *output], folder, readable=readable, limits=self.limits)
        if finished.code != 0:
            error = build_error(finished.output, candidate.entry, arch=arch, ptx=_kept_text(keep))
            raise explained(error) if self.headers is HeaderKind.LIGHT else error
        _kept_ptx(keep, arch).rename(folder / PTX)
        return Artefacts(
            library=LIBRARY,
            ptx=PTX,
            flags=flags,
            log=finished.output,
            kernels=kernel_resources(finished.output),
            warnings=build_warnings(finished.output),
            sass=_disassembled(compiler, folder, keep, arch),
            headers=self.headers,
            more_archs=self.more_archs,
        )


def _paths(headers: HeaderSet, tools: Toolchain) -> list[str]:
    """Return the flags that name places on this machine."""
    includes = [part for path in headers.folders for part in ("-isystem", str(path))]
    libraries = (tools.tvm_ffi_library, *headers.libraries)
    linked = [part for path in libraries for part in ("-Xlinker", str(path))]
    places = dict.fromkeys(str(path.parent) for path in headers.libraries)
    found_again = [part for place in places for part in ("-Xlinker", f"-rpath,{place},-rpath-link,{place}")]
    return [*link_flags(tools), *linked, *found_again, *includes]


def _kept_ptx(keep: Path, arch: str) -> Path:
    """Return the PTX of an architecture; nvcc writes the architecture into the name when there are several."""
    alone = keep / Path(ENTRY_FILE).with_suffix(".ptx")
    return alone if alone.exists() else alone.with_suffix(f".{virtual_arch(arch)}.ptx")


def _kept_text(keep: Path) -> str:
    """Return the PTX that the assembler read before it failed; empty when the compilation got no further than that."""
    return "".join(path.read_text(encoding="utf-8", errors="replace") for path in sorted(keep.glob("*.ptx"))[:1])


def _disassembled(compiler: Compiler, folder: Path, keep: Path, arch: str) -> str | None:
    """List the machine code of an architecture, where the disassembler is installed."""
    program = compiler.toolchain.nvdisasm
    if program is None:
        return None
    cubin = next(keep.glob(f"*.{arch}.cubin")).relative_to(folder)
    listed = compiler.run(["/bin/sh", "-c", f'exec "$0" "$1" > {SASS}', str(program), str(cubin)], folder)
    return SASS if listed.code == 0 else None


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


def entry_source(candidate: Candidate, headers: HeaderSet, tools: Toolchain) -> str:
    """Return the generated file: the candidate's source, then the export of its entry."""
    source = only_source(candidate)
    if not re.fullmatch(r"[A-Za-z_]\w*", candidate.entry, re.ASCII):
        raise BuildError(BuildErrorKind.SPEC, f"the entry `{candidate.entry}` is not a function name", "")
    code = _COMMENT.sub(" ", source.text)
    # A module or a library that binds a function under the entry's name says which function to call.
    named = rf'\.\s*(?:def|impl)\s*\(\s*"(?:\w+::)?{candidate.entry}["(.]'
    template = _BOUND if _REGISTERS.search(code) and re.search(named, code) else _DIRECT
    included = (*headers.prelude, *brought_along(code, tools))
    prelude = "".join(f"#include <{header}>\n" for header in included)
    return template.format(prelude=prelude, source=source.name, entry=candidate.entry)
