"""Loads a candidate's shared object."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tvm_ffi

from sandbox.child.program import LoadError
from sandbox.values import ExitState


def load_entry(library: Path, entry: str) -> Callable[..., Any]:
    """Load a shared object and return its entry. The library stays loaded.

    Raises
    ------
    LoadError
        The dynamic loader refuses it, or it does not export the entry.
    """
    try:
        module = tvm_ffi.load_module(str(library), keep_module_alive=True)
        function: Callable[..., Any] | None = module.get_function(entry)
    except Exception as error:  # TVM FFI raises several classes, RuntimeError among them
        raise LoadError(ExitState.LAUNCH_ERROR, f"the library cannot be loaded: {error}") from error
    if function is None:
        raise LoadError(ExitState.LAUNCH_ERROR, f"the library does not export `{entry}`")
    return function
