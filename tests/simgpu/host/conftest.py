"""Builds host libraries the way that candidates and programs are built, against the stand-in CUDA runtime."""

import hashlib
import subprocess
import sysconfig
from pathlib import Path

import pytest

from simgpu.cudart.native_build import build_standin

FLAGS = (
    *("-shared", "-Xcompiler", "-fPIC", "-Xlinker", "-Bsymbolic", "-cudart", "shared", "--cudadevrt", "none"),
    *("-lineinfo", "-arch=sm_80"),
)


@pytest.fixture(scope="session")
def nvcc_library(tmp_path_factory):
    """Return a function that compiles CUDA source to a shared object."""
    nvcc = Path(sysconfig.get_path("purelib")) / "nvidia" / "cu13" / "bin" / "nvcc"
    link = tmp_path_factory.mktemp("link")
    (link / "libcudart.so").symlink_to(build_standin())

    def compile_library(source: str, *flags: str, compress: bool = False) -> Path:
        folder = tmp_path_factory.mktemp("library")
        (folder / "source.cu").write_text(source)
        packing = () if compress else ("-no-compress",)
        command = [nvcc, *FLAGS, *packing, *flags, f"-L{link}", "-o", folder / "library.so", folder / "source.cu"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return folder / "library.so"

    return compile_library


@pytest.fixture(scope="session")
def cached_program(nvcc_library, request):
    """Return a function that compiles a program that includes `check.h`; pytest's cache keeps the library."""
    folder = request.config.cache.mkdir("cuda_programs")

    def compile_program(source: Path, *flags: str) -> Path:
        header = source.parent / "check.h"
        text = f'#line 1 "{source}"\n{source.read_text()}'
        key = hashlib.sha256("\0".join((text, header.read_text(), *FLAGS, *flags)).encode()).hexdigest()[:24]
        kept = folder / f"{source.stem}-{key}.so"
        if not kept.is_file():
            nvcc_library(text, f"-I{source.parent}", "-std=c++17", *flags).rename(kept)
        return kept

    return compile_program
