"""What no build begins with: names, sizes and directives by which a source would take in files of the machine.

The sandbox in which compilers run is what keeps files from them; these refusals say so before anything is started, in
one sentence, and hold under `process` isolation too, where the files are in reach.
"""

from __future__ import annotations

import re

from sandbox.values import BuildError, BuildErrorKind, Candidate, SourceFile

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", re.ASCII)
_LONGEST_CANDIDATE = 4 << 20
"""Bytes of all files. The longest published kernels have a few hundred thousand."""
_LONGEST_LINE = 1 << 20
"""Bytes; compilers show a line with every message about it."""
_DEEPEST = 2000
"""Brackets that are open at once; parsers of compilers recurse, and crash where their stack ends."""

_SPLICE = re.compile(r"\\\r?\n")
_COMMENT = re.compile(r"""//[^\n]*|/\*.*?\*/|("(?:\\.|[^"\\\n])*")""", re.DOTALL)
_DIRECTIVES = (
    (
        re.compile(r"""(?m)^\s*(?:#|%:)\s*(?:include|include_next|import)\s*["<]\s*(?:/|~|[^">\n]*\.\.[/\\])"""),
        "includes",
    ),
    (re.compile(r"""(?m)^\s*(?:#|%:)\s*embed\b|__has_embed\b"""), "embeds"),
    (re.compile(r"""(?m)^\s*(?:#|%:)\s*(?:line\s+)?\d+\s*"[^"\n]*[/\\]"""), "names as its own place"),
    (re.compile(r"""\bdependency\s+\\?["<]"""), "asks for the age of"),
    (re.compile(r"""\.\s*(?:incbin|include)\b\s*\\?["']"""), "takes in by the assembler"),
)


def refuse(candidate: Candidate) -> None:
    """Refuse what needs no compiler to be refused.

    Raises
    ------
    BuildError
        A file has no plain name, the files are too long or hold a NUL, brackets nest too deeply (kind `spec`), or CUDA
        code takes in files by path (kind `forbidden`).
    """
    names = [file.name for file in candidate.files]
    for name in names:
        if not _FILE_NAME.fullmatch(name) or names.count(name) > 1:
            raise BuildError(BuildErrorKind.SPEC, f"{name!r} is not a plain file name, or is given twice", "")
    total = sum(len(file.text.encode()) for file in candidate.files)
    if total > _LONGEST_CANDIDATE:
        raise BuildError(
            BuildErrorKind.SPEC,
            f"the candidate has {total} bytes of source; at most {_LONGEST_CANDIDATE} are built",
            "",
        )
    for file in candidate.files:
        _refuse_text(file)
        if not (candidate.language.is_python or file.name.endswith(".toml")):
            _refuse_directives(file)


def _refuse_text(file: SourceFile) -> None:
    if "\0" in file.text:
        raise BuildError(BuildErrorKind.SPEC, f"{file.name} holds a NUL character, so it is no text", "")
    for number, line in enumerate(file.text.split("\n"), start=1):
        if len(line) > _LONGEST_LINE:
            raise BuildError(BuildErrorKind.SPEC, f"{file.name}:{number}: a line of {len(line)} characters", "")
    depth = deepest = 0
    for character in file.text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth -= 1
    if deepest > _DEEPEST:
        raise BuildError(BuildErrorKind.SPEC, f"{file.name}: {deepest} brackets are open at once", "")


def _refuse_directives(file: SourceFile) -> None:
    """Look for directives that name files, outside comments, where the preprocessor would see them."""
    code = _COMMENT.sub(_without_comment, _SPLICE.sub("", file.text))
    for pattern, does in _DIRECTIVES:
        if found := pattern.search(code):
            text = " ".join(found.group(0).split())[:60]
            raise BuildError(
                BuildErrorKind.FORBIDDEN,
                f"{file.name} {does} a file of the machine that it is built on (`{text}`); a build sees only its own"
                " sources and the headers of CUDA, PyTorch and C++",
                "",
            )


def _without_comment(found: re.Match[str]) -> str:
    return found.group(1) or " "
