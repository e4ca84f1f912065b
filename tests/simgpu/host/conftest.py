"""Builds host libraries the way that candidates and programs are built, against the stand-in CUDA runtime."""

import subprocess
import sysconfig
from pathlib import Path

import pytest

from simgpu.cudart.native_build import build_standin

FLAGS = ("-shared", "-Xcompiler", "-fPIC", "-cudart", "shared", "--cudadevrt", "none", "-lineinfo", "-arch=sm_80")


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
