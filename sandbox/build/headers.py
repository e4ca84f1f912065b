"""The two kinds of headers for sources in the PyTorch extension style, and when the full ones are worth trying."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sandbox.build.cache import content_key
from sandbox.toolchain import Toolchain, TorchHeaders, find_toolchain, find_torch_headers
from sandbox.values import BuildError, BuildErrorKind, HeaderKind

_TORCH_FLAGS = (
    # What PyTorch's own builder passes: operators of CUDA's 16-bit types would clash with those of PyTorch's.
    "-D__CUDA_NO_HALF_OPERATORS__",
    "-D__CUDA_NO_HALF_CONVERSIONS__",
    "-D__CUDA_NO_BFLOAT16_CONVERSIONS__",
    "-D__CUDA_NO_HALF2_OPERATORS__",
)

# What only PyTorch's headers could declare; a mistyped variable is no reason to parse them.
_SPACES = "torch|at|c10|caffe2|pybind11|py"
_TORCH_MEMBER = re.compile(
    rf"\b(?:namespace|class|struct) \"(?:const )?(?:{_SPACES})(?:::[\w:]+)?(?:<[^\"]*>)?\""
    r" has no member \"(?P<name>\w+)\""
)
_TENSOR_OPERATOR = re.compile(
    r"no operator \"(?P<name>[^\"]+)\" matches.*\n\s*operand types are:.*\b(?:at|torch)::Tensor\b"
)
_TORCH_TYPE = re.compile(rf"\"(?:const )?(?:{_SPACES})::")
_TORCH_MACRO = re.compile(r"identifier \"(?:TORCH|AT|C10|PYBIND11|CUDA_KERNEL)_\w+\"")
_TORCH_QUALIFIED = re.compile(rf"\b(?:{_SPACES})::")
_WORD = re.compile(r"\w+")
_STANDARD_NAME = re.compile(r"\bstd::(\w+)")
_UNKNOWN_SPACE = 'name followed by "::"'
_ALLOWED_OPERATOR = re.compile(r"\"aten::(\w+)\"")
_SYSTEM_HEADER = re.compile(r"(?:torch|ATen|c10|caffe2|pybind11|THC?)/")


@dataclass(frozen=True, slots=True)
class HeaderSet:
    """How nvcc is called for one kind of headers."""

    kind: HeaderKind
    folders: tuple[Path, ...]
    """Include folders, first match first."""
    standard: str
    """C++ standard that they ask for."""
    flags: tuple[str, ...]
    """Compiler flags beyond those of every build."""
    prelude: tuple[str, ...]
    """Headers that come before the candidate's source."""
    libraries: tuple[Path, ...]
    """Shared objects of PyTorch that the candidate is linked to and finds again at run time."""
    identity: str
    """Changes whenever the headers do."""


def header_set(kind: HeaderKind, tools: Toolchain) -> HeaderSet:
    """Return how to build with one kind of headers.

    Raises
    ------
    InfraError
        PyTorch's headers are asked for and not installed.
    """
    shared = (tools.headers / "shared", tools.tvm_ffi / "include")
    if kind is HeaderKind.LIGHT:
        return HeaderSet(
            kind=kind,
            folders=(tools.headers / "light", *shared),
            standard="c++17",
            flags=(),
            prelude=(),
            libraries=(),
            identity=_hash(tools.headers),
        )
    return _full(find_torch_headers(), tools, shared)


def _full(torch: TorchHeaders, tools: Toolchain, shared: tuple[Path, ...]) -> HeaderSet:
    # A build of PyTorch without CUDA has the headers of c10_cuda, but neither its generated ones nor its functions.
    stand_in = () if torch.with_cuda else (tools.headers / "full_without_cuda",)
    names = ("c10", "torch_cpu", *(("c10_cuda", "torch_cuda") if torch.with_cuda else ()))
    return HeaderSet(
        kind=HeaderKind.FULL,
        folders=(tools.headers / "full", *stand_in, *shared, *torch.includes),
        standard="c++20",
        flags=_TORCH_FLAGS,
        prelude=(*(("kernelwright/c10_cuda.h",) if stand_in else ()), "kernelwright/operators.h"),
        libraries=tuple(torch.libraries / f"lib{name}.so" for name in names),
        identity=content_key(_hash(tools.headers), torch.version, str(torch.libraries)),
    )


def brought_along(code: str, tools: Toolchain) -> tuple[str, ...]:
    """Return the headers of C++ and CUDA whose names a source uses, and that PyTorch's headers would have included.

    Parameters
    ----------
    code
        The source, comments taken out.
    """
    table = _brought_along(tools.headers)
    standard, words = set(_STANDARD_NAME.findall(code)), set(_WORD.findall(code))
    return tuple(
        header
        for names_of, used in ((table["std"], standard), (table["cuda"], words))
        for header, names in names_of.items()
        if used & names
    )


@lru_cache(maxsize=4)
def _brought_along(root: Path) -> dict[str, dict[str, frozenset[str]]]:
    table = tomllib.loads((root / "brought_along.toml").read_text(encoding="utf-8"))
    return {kind: {header: frozenset(names) for header, names in headers.items()} for kind, headers in table.items()}


def why_full(error: BuildError) -> str:
    """Say why PyTorch's full headers could mend a failure with the light ones; empty when they could not.

    They could not mend a call of an operator that computes: with them, the call itself is refused.
    """
    first = error.summary.splitlines()[0] if error.summary else ""
    if error.kind is BuildErrorKind.MISSING_HEADER:
        return first if _SYSTEM_HEADER.search(first) else ""
    if error.kind not in {BuildErrorKind.UNDECLARED, BuildErrorKind.TYPE_MISMATCH}:
        return ""
    if found := _TORCH_MEMBER.search(first):
        return "" if _computes(found["name"]) else first
    unknown_space = _UNKNOWN_SPACE in first and _TORCH_QUALIFIED.search(error.summary)
    return first if unknown_space or _TORCH_TYPE.search(first) or _TORCH_MACRO.search(first) else ""


def explained(error: BuildError) -> BuildError:
    """Add what a failure with the light headers means where the source calls an operator that computes."""
    first = error.summary.splitlines()[0] if error.summary else ""
    found = _TORCH_MEMBER.search(first) or _TENSOR_OPERATOR.search(error.summary)
    if found is None or (found["name"].isidentifier() and not _computes(found["name"])):
        return error
    meant = (
        f"`{found['name']}` is an operator of PyTorch that computes; what a candidate computes is the work of its own"
        " kernels: do this in a kernel, or on the host in plain numbers"
    )
    return BuildError(error.kind, f"{error.summary}\n{meant}", error.log)


def _computes(name: str) -> bool:
    """Whether a name is an operator of PyTorch's that a candidate may not leave its work to."""
    declared = find_torch_headers().includes[0] / "ATen" / "ops" / f"{name}.h"
    return declared.exists() and name not in _allowed_operators()


@lru_cache(maxsize=1)
def _allowed_operators() -> frozenset[str]:
    watch = find_toolchain().headers / "full" / "kernelwright" / "watch.h"
    return frozenset(_ALLOWED_OPERATOR.findall(watch.read_text(encoding="utf-8")))


@lru_cache(maxsize=4)
def _hash(root: Path) -> str:
    """Hash our headers, names and contents."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return content_key(*(part for path in files for part in (str(path.relative_to(root)), path.read_bytes())))
