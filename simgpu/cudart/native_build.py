"""Compiles the stand-in `libcudart.so.13` once per machine and source, with the user's C++ compiler."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import platformdirs

from simgpu.errors import SimgpuError

LIBRARY_NAME = "libcudart.so.13"
_FLAGS = ("-std=c++17", "-O1", "-fPIC", "-shared", "-Wall", "-Wextra", f"-Wl,-soname,{LIBRARY_NAME}")


class StandInBuildError(SimgpuError):
    """The stand-in CUDA runtime could not be compiled; the message says what is missing."""


def cuda_include() -> Path:
    """Return the folder of the CUDA headers that the toolkit's wheels installed.

    Raises
    ------
    StandInBuildError
        They are not installed.
    """
    wheels = find_spec("nvidia")
    for place in wheels.submodule_search_locations or () if wheels else ():
        include = Path(place) / "cu13" / "include"
        if (include / "cuda_runtime_api.h").is_file():
            return include
    raise StandInBuildError("no CUDA headers: install cuda-toolkit[cudart]==13.0.*")


def _content_key(compiler: str, folder: Path, include: Path) -> str:
    """Hash the compiler, its flags, the sources, and the headers that lay out what programs pass."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    digest = hashlib.sha256(repr((version, _FLAGS)).encode())
    sources = sorted(one for one in folder.iterdir() if one.is_file())
    for source in (*sources, include / "cuda_runtime_api.h", include / "driver_types.h"):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:32]


def _compile(compiler: str, folder: Path, include: Path, output: Path) -> None:
    command = [compiler, *_FLAGS, f"-I{include}", *sorted(str(one) for one in folder.glob("*.cpp"))]
    command += [f"-Wl,--version-script={folder / 'exports.map'}", "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StandInBuildError(f"the stand-in CUDA runtime does not compile with {compiler}:\n{done.stderr}")


def build_standin(cache: Path | None = None) -> Path:
    """Return the path of the compiled stand-in, compiling it when this source was not compiled before.

    Safe for concurrent processes: each compiles to a file of its own, and the last rename wins.

    Parameters
    ----------
    cache
        Folder of compiled stand-ins; by default in the user's cache folder.

    Raises
    ------
    StandInBuildError
        There is no C++ compiler, no CUDA headers, or the compiler fails.
    """
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        raise StandInBuildError("no C++ compiler: install g++, or name one in CXX")
    include = cuda_include()
    cache = cache or Path(platformdirs.user_cache_dir("kernelwright")) / "cudart"
    with resources.as_file(resources.files("simgpu.cudart").joinpath("native")) as folder:
        library = cache / _content_key(compiler, folder, include) / LIBRARY_NAME
        if library.is_file():
            return library
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
            output = Path(scratch) / LIBRARY_NAME
            _compile(compiler, folder, include, output)
            output.replace(library)
    return library
