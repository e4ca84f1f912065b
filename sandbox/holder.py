"""Compiles `hold`, our own first program of a sandboxed process tree, once per machine and source."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from functools import lru_cache
from importlib import resources
from pathlib import Path

from tasks.errors import InfraError

_FLAGS = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror")
_LINKED = (("-static",), ())
"""How it is linked: statically, which starts faster, where the system has what that takes."""
_COMPILE_SECONDS = 120.0


@lru_cache(maxsize=8)
def build_holder(cache_dir: Path) -> Path:
    """Return the program, compiled when this source was not compiled before.

    Safe for concurrent processes: each compiles to a file of its own, and the last rename wins.

    Parameters
    ----------
    cache_dir
        The build cache's folder.

    Raises
    ------
    InfraError
        There is no C++ compiler, or it fails.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        raise InfraError("there is no g++ on PATH to compile the sandbox's first program with")
    with resources.as_file(resources.files("sandbox").joinpath("native", "hold.cpp")) as source:
        digest = hashlib.sha256(repr((_FLAGS, _LINKED, source.read_bytes())).encode()).hexdigest()[:32]
        program = cache_dir / "hold" / digest / "hold"
        if not program.is_file():
            _compile(compiler, source, program)
    return program


def _compile(compiler: str, source: Path, program: Path) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as scratch:
        output = Path(scratch, "hold")
        for linked in _LINKED:
            problem = _problem([compiler, *_FLAGS, str(source), *linked, "-o", str(output)])
            if not problem:
                output.chmod(0o755)
                output.replace(program)
                return
    raise InfraError(f"the sandbox's first program does not compile with {compiler}: {problem}")


def _problem(command: list[str]) -> str:
    """Compile, and return the last line of what the compiler says when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    said = done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"]
    return said[-1] if done.returncode else ""
