"""Kernels' names as their authors wrote them."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from functools import cache

_MANGLED = re.compile(r"\b_Z\w+")
_LIBRARIES = ("libstdc++.so.6", "libc++abi.dylib")


def readable(text: str) -> str:
    """Return a text with each mangled C++ name in it written as the function's name: `softmax<float, 4>`.

    Parameters and the type of the result are left out. Names stay as they are where the C++ runtime, which knows
    their grammar, is not found.
    """
    return _MANGLED.sub(lambda found: _name(found.group()), text)


@cache
def _name(mangled: str) -> str:
    demangle = _demangler()
    held = demangle(mangled.encode(), None, None, None) if demangle else None
    if not held:
        return mangled
    try:
        return _without_types(ctypes.string_at(held).decode())
    finally:
        ctypes.CDLL(None).free(ctypes.c_void_p(held))


@cache
def _demangler() -> Callable[..., int | None] | None:
    """Return the C++ ABI's `__cxa_demangle`, which allocates what it returns."""
    for name in _LIBRARIES:
        try:
            function = ctypes.CDLL(name)["__cxa_demangle"]
        except (OSError, AttributeError):
            continue
        function.restype = ctypes.c_void_p
        return function
    return None


def _without_types(declared: str) -> str:
    """Return the name in a declaration: what comes before its parameters, and behind the type of its result."""
    end = _start_of_parameters(declared)
    depth, start = 0, 0
    for place, letter in enumerate(declared[:end]):
        depth += (letter in "(<[") - (letter in ")>]")
        if letter == " " and depth == 0:
            start = place + 1
    return declared[start:end]


def _start_of_parameters(declared: str) -> int:
    if not declared.endswith(")"):
        return len(declared)
    depth = 0
    for place in range(len(declared) - 1, -1, -1):
        depth += (declared[place] == ")") - (declared[place] == "(")
        if depth == 0:
            return place
    return len(declared)
