"""Imports a candidate's Python file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

_MODULE = "kernelwright_candidate"


def import_file(source: Path) -> ModuleType:
    """Execute a file as a module; whatever it raises passes through.

    Raises
    ------
    ImportError
        It has no name of a Python file.
    """
    spec = importlib.util.spec_from_file_location(_MODULE, source)
    if spec is None or spec.loader is None:
        raise ImportError(f"{source.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module  # dataclasses and typing look the module of a class up there
    spec.loader.exec_module(module)
    return module
