"""The corpus' kernels, compiled once per session for each architecture."""

import functools
import os
import subprocess
from pathlib import Path

import pytest

from simgpu import load_module

NVCC = Path(__import__("nvidia.cu13", fromlist=["x"]).__path__[0]) / "bin" / "nvcc"
KERNELS = Path(__file__).parent / "kernels"


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Return a function from a file of `kernels/` and an architecture to the loaded module."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    @functools.cache
    def load(stem, arch="sm_80"):
        target = shared / f"{stem}.{arch}.ptx"
        if not target.exists():
            own = base / target.name
            own = own.with_suffix(".part")
            source = KERNELS / f"{stem}.cu"
            command = [NVCC, "--ptx", f"-arch={arch}", "-std=c++17", "-lineinfo", "-o", own, source]
            subprocess.run(command, check=True)
            own.replace(target)
        return load_module(target.read_text())

    return load
