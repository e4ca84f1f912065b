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
        digest = hashlib.sha256(repr((_FLAGS, source.read_bytes())).encode()).hexdigest()[:32]
        program = cache_dir / "hold" / digest / "hold"
        if not program.is_file():
            _compile(compiler, source, program)
    return program


def _compile(compiler: str, source: Path, program: Path) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as scratch:
        output = Path(scratch, "hold")
        command = [compiler, *_FLAGS, str(source), "-o", str(output)]
        try:
            subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=True)
        except subprocess.CalledProcessError as error:
            last = str(error.stderr).strip().splitlines()[-1:]
            raise InfraError(f"the sandbox's first program does not compile with {compiler}: {last}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InfraError(f"the sandbox's first program does not compile: {error}") from error
        output.chmod(0o755)
        output.replace(program)
