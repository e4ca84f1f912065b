"""Reads what nvcc, g++, ptxas, NVRTC and the linker print: the class of a failure, and each kernel's resources."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sandbox.values import BuildError, BuildErrorKind, KernelResources

ENTRY_FILE = "kernelwright_entry.cu"
"""The generated file that exports the candidate's entry; an error in it is about the entry's shape."""

_BAD_PARAMETER = "entry: a parameter is neither"
"""Beginning of the static assertion in `include/kernelwright/export.h`."""

_SHOWN_ERRORS = 3
_CONTEXT_LINES = 4
_LINE_LENGTH = 300

_ERROR_LINE = re.compile(
    r"\berror\s*:|\bfatal\s*:|\bcatastrophic error\b|fatal error|undefined reference|multiple definition|\): error\b"
)

# First match wins, so a resource limit that ptxas reports comes before ptxas errors at large.
_KINDS: tuple[tuple[BuildErrorKind, re.Pattern[str]], ...] = (
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
    (BuildErrorKind.PTXAS, re.compile(r"^ptxas\b.*(?:error|fatal)|^nvvm|Internal Compiler Error", re.IGNORECASE)),
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
            r"|must be a modifiable|does not match|invalid operands|expression must have"
        ),
    ),
)

_COMPILING = re.compile(r"Compiling entry function '([^']+)'")
_PROPERTIES = re.compile(r"Function properties for (\S+)")
_FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_REGISTERS = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")
_CONSTANT = re.compile(r"(\d+) bytes cmem\[\d+\]")


def build_error(log: str, entry: str = "") -> BuildError:
    """Classify a failed compilation.

    Parameters
    ----------
    log
        Everything that the compilers printed.
    entry
        Host function that `ENTRY_FILE` exports, when there is one.
    """
    blocks = _error_blocks(log)
    first = next((line for line, _ in blocks), log)
    summary = "\n".join(block for _, block in blocks[:_SHOWN_ERRORS]) or log.strip()[-2000:]
    kind = _kind(first)
    if entry and (_BAD_PARAMETER in first or (first.startswith(ENTRY_FILE) and kind is not BuildErrorKind.LINK)):
        if "has no" in first:
            summary = f"the source defines no host function `{entry}` outside a namespace, which is the entry"
        else:
            summary = f"the host function `{entry}` cannot be called with tensors:\n{summary}"
        return BuildError(BuildErrorKind.SPEC, summary, log)
    return BuildError(kind, summary, log)


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
    return blocks


@dataclass(slots=True)
class _Partial:
    registers: int = 0
    shared: int = 0
    constant: int = 0
    stack: int = 0
    spill_stores: int = 0
    spill_loads: int = 0


def kernel_resources(log: str) -> tuple[KernelResources, ...]:
    """Read the resources of each kernel from ptxas's verbose output, in its order."""
    kernels: dict[str, _Partial] = {}
    current = frame_of = ""
    for line in log.splitlines():
        if found := _COMPILING.search(line):
            current = found.group(1)
            kernels[current] = _Partial()
        elif found := _PROPERTIES.search(line):
            frame_of = found.group(1)
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
            registers=kernel.registers,
            spill_stores=kernel.spill_stores,
            spill_loads=kernel.spill_loads,
            stack=kernel.stack,
            static_shared=kernel.shared,
            constant=kernel.constant,
        )
        for name, kernel in kernels.items()
    )
