"""Reads what nvcc, g++, ptxas, NVRTC and the linker print: the class of a failure, and each kernel's resources."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sandbox.values import BuildError, BuildErrorKind, BuildWarning, KernelResources

ENTRY_FILE = "kernelwright_entry.cu"
"""The generated file that exports the candidate's entry; an error in it is about the entry's shape."""

_BAD_PARAMETER = "entry: a parameter is neither"
"""Beginning of the static assertion in `include/kernelwright/export.h`."""

_SHOWN_ERRORS = 3
_CONTEXT_LINES = 4
_LINE_LENGTH = 300

_ERROR_LINE = re.compile(
    r"(?i:\berror\s*:)|\bfatal\s*:|\bcatastrophic error\b|fatal error|undefined reference|multiple definition"
    r"|\): error\b"
)

# First match wins, so what ptxas says of limits and architectures comes before ptxas errors at large.
_KINDS: tuple[tuple[BuildErrorKind, re.Pattern[str]], ...] = (
    (BuildErrorKind.OTHER, re.compile(r"signal terminated program|#include nested depth")),
    (
        BuildErrorKind.ARCHITECTURE,
        re.compile(
            r"not supported on \.target|requires \.target sm_|not supported for this GPU architecture"
            r"|(?:#error|static assertion failed).*(?:\bsm_?\d\d|compute capability|__CUDA_ARCH__|architecture)",
            re.IGNORECASE,
        ),
    ),
    (
        BuildErrorKind.MISSING_HEADER,
        re.compile(r"No such file or directory|cannot open source file|could not open source file"),
    ),
    (
        BuildErrorKind.RESOURCES,
        re.compile(
            r"uses too much|uses too many|too much (?:shared|local|global|constant)|exceeds? (?:the )?(?:max|available)"
            r"|too many resources|Formal parameter space overflowed|too large a stack"
        ),
    ),
    (BuildErrorKind.PTXAS, re.compile(r"\bptxas\b.*(?:error|fatal)|^nvvm|Internal Compiler Error", re.IGNORECASE)),
    (
        BuildErrorKind.LINK,
        re.compile(
            r"undefined reference|Undefined reference|multiple definition|Multiple definition|^nvlink|ld returned"
        ),
    ),
    (
        BuildErrorKind.UNDECLARED,
        re.compile(
            r"is undefined|has no member|was not declared|is not a member of|not declared in this scope"
            r"|must be a class or namespace name|does not name a type|is not a (?:template|type name)"
        ),
    ),
    (
        BuildErrorKind.SYNTAX,
        re.compile(
            r"expected (?:a|an|either)\b|\bexpected ['\u2018\"`;,(){}\[\]]|unrecognized token|missing closing"
            r"|unterminated|missing terminating"
            r"|this declaration has no storage class|end of file|extra text|expected (?:identifier|unqualified|primary)"
        ),
    ),
    (
        BuildErrorKind.TYPE_MISMATCH,
        re.compile(
            r"incompatible|cannot convert|cannot be (?:assigned|used to initialize)|no instance of|no suitable"
            r"|no operator|no matching|too (?:few|many) arguments|invalid conversion|more than one instance"
            r"|calling a __\w+__ function.*is not allowed|must be a modifiable|does not match|invalid operands"
            r"|expression must have"
        ),
    ),
)

_NEEDED_ARCH = re.compile(r"\bsm_?(\d{2,3}[af]?)\b(?!')", re.IGNORECASE)
_PTX_ERROR = re.compile(r"^ptxas \S+, line (?P<line>\d+); (?P<rest>(?:error|fatal).*)$", re.MULTILINE)
_PTX_FILE = re.compile(r'^\s*\.file\s+(\d+)\s+"([^"]+)"', re.MULTILINE)
_PTX_LOCATION = re.compile(r"\s*\.loc\s+(\d+)\s+(\d+)")
_COMPILING = re.compile(r"Compiling entry function '([^']+)' for '([^']+)'")
_WARNING = re.compile(
    r"(?:(?P<file>[^\s:(][^:(]*)(?:\((?P<line>\d+)\)|:(?P<other>\d+):\d+): warning:?\s+|ptxas warning\s*:\s*)"
    r"(?P<message>.+)"
)
_PROPERTIES = re.compile(r"Function properties for (\S+)")
_FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_REGISTERS = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")
_CONSTANT = re.compile(r"(\d+) bytes cmem\[\d+\]")


def build_error(log: str, entry: str = "", *, arch: str = "", ptx: str = "") -> BuildError:
    """Classify a failed compilation.

    Parameters
    ----------
    log
        Everything that the compilers printed.
    entry
        Host function that `ENTRY_FILE` exports, when there is one.
    arch
        Architecture that was built for.
    ptx
        Text that ptxas read, to find the source line of what it complains about.
    """
    blocks = _error_blocks(_with_source_lines(log, ptx))
    first = next((line for line, _ in blocks), log)
    summary = "\n".join(block for _, block in blocks[:_SHOWN_ERRORS]) or log.strip()[-2000:]
    kind = _kind(first)
    if kind is BuildErrorKind.ARCHITECTURE:
        return BuildError(kind, f"{_architecture_sentence(blocks, arch)}\n{summary}", log)
    if entry and (_BAD_PARAMETER in first or (first.startswith(ENTRY_FILE) and kind is not BuildErrorKind.LINK)):
        if "has no" in first:
            summary = f"the source defines no host function `{entry}` outside a namespace, which is the entry"
        else:
            summary = f"the host function `{entry}` cannot be called with tensors:\n{summary}"
        return BuildError(BuildErrorKind.SPEC, summary, log)
    return BuildError(kind, summary, log)


def _architecture_sentence(blocks: list[tuple[str, str]], arch: str) -> str:
    """Say which architecture the source asks for, as far as the messages name one."""
    named = [number for line, _ in blocks for number in _NEEDED_ARCH.findall(line)]
    newest = max(named, key=lambda number: int(number.rstrip("af")), default="")
    needed = f"sm_{newest} or newer" if newest else "another architecture"
    return f"the source needs {needed}" + (f"; it is built for {arch}" if arch else "")


def _with_source_lines(log: str, ptx: str) -> str:
    """Put the file and line of the source before what ptxas says of a line of PTX."""
    if not ptx or not _PTX_ERROR.search(log):
        return log
    files = {found[1]: Path(found[2]).name for found in _PTX_FILE.finditer(ptx)}
    lines = ptx.splitlines()

    def placed(found: re.Match[str]) -> str:
        before = reversed(lines[: int(found["line"])])
        location = next((place for text in before if (place := _PTX_LOCATION.match(text))), None)
        where = f"{files.get(location[1], '?')}({location[2]}): " if location else ""
        return f"{where}ptxas {found['rest']}"

    return _PTX_ERROR.sub(placed, log)


def _kind(line: str) -> BuildErrorKind:
    return next((kind for kind, pattern in _KINDS if pattern.search(line)), BuildErrorKind.OTHER)


def _error_blocks(log: str) -> list[tuple[str, str]]:
    """Each line that states an error, and it again with the lines that show its place."""
    lines = log.splitlines()
    blocks = []
    for index, line in enumerate(lines):
        if not _ERROR_LINE.search(line) or line.startswith("collect2"):
            continue
        block = [line]
        for follower in lines[index + 1 : index + 1 + _CONTEXT_LINES]:
            # A compiler's own context is indented; anything else is the next message.
            if not follower.startswith((" ", "\t")) or "detected during" in follower:
                break
            block.append(follower)
        # A macro's expansion is one line, however long.
        blocks.append((line, "\n".join(shown[:_LINE_LENGTH] for shown in block)))
    # A template's error is repeated for each of its instantiations.
    return list(dict.fromkeys(blocks))


@dataclass(slots=True)
class _Partial:
    registers: int = 0
    shared: int = 0
    constant: int = 0
    stack: int = 0
    spill_stores: int = 0
    spill_loads: int = 0


def kernel_resources(log: str) -> tuple[KernelResources, ...]:
    """Read the resources of each kernel, for each architecture, from ptxas's verbose output, in its order."""
    kernels: dict[tuple[str, str], _Partial] = {}
    current = frame_of = ("", "")
    for line in log.splitlines():
        if found := _COMPILING.search(line):
            current = (found.group(1), found.group(2))
            kernels[current] = _Partial()
        elif found := _PROPERTIES.search(line):
            frame_of = (found.group(1), current[1])
        elif (found := _FRAME.search(line)) and frame_of in kernels:
            kernel = kernels[frame_of]
            kernel.stack, kernel.spill_stores, kernel.spill_loads = map(int, found.groups())
        elif (found := _REGISTERS.search(line)) and current in kernels:
            kernel = kernels[current]
            kernel.registers = int(found.group(1))
            kernel.shared = sum(map(int, _SHARED.findall(line)))
            kernel.constant = sum(map(int, _CONSTANT.findall(line)))
    return tuple(
        KernelResources(
            kernel=name,
            arch=arch,
            registers=kernel.registers,
            spill_stores=kernel.spill_stores,
            spill_loads=kernel.spill_loads,
            stack=kernel.stack,
            static_shared=kernel.shared,
            constant=kernel.constant,
        )
        for (name, arch), kernel in kernels.items()
    )


def build_warnings(log: str) -> tuple[BuildWarning, ...]:
    """Read the warnings of nvcc, g++ and ptxas, each once, in the order in which they were printed."""
    warnings: dict[BuildWarning, None] = {}
    for line in log.splitlines():
        if found := _WARNING.match(line):
            number = found["line"] or found["other"]
            warning = BuildWarning(file=found["file"], line=int(number) if number else None, message=found["message"])
            warnings[warning] = None
    return tuple(warnings)
