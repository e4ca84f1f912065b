"""Compiles the device guard that lets PyTorch's CPU build have CUDA tensors (`child/native/cuda_guard.cpp`)."""

from __future__ import annotations

from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from sandbox.build.cache import BuildCache, content_key
from sandbox.build.compiler import FORMAT, Compiler
from tasks.errors import InfraError

_SOURCE = Path(__file__).parent.parent / "child" / "native" / "cuda_guard.cpp"
_LIBRARY = "cuda_guard.so"
_FLAGS = ("-std=c++20", "-O1", "-shared", "-fPIC")


def torch_guard(compiler: Compiler) -> Path:
    """Return the compiled guard, from the build cache where it stands there.

    Raises
    ------
    InfraError
        PyTorch is not installed, or its headers do not compile here.
    """
    torch = _torch_root()
    key = content_key(
        FORMAT, "torch guard", _SOURCE.read_bytes(), *_FLAGS, metadata.version("torch"), compiler.toolchain.gxx_version
    )

    def fill(folder: Path) -> None:
        work = folder / "work"
        work.mkdir()
        command = [str(compiler.toolchain.gxx), *_FLAGS, f"-I{torch / 'include'}", str(_SOURCE), "-o", _LIBRARY]
        done = compiler.run([*command, f"-L{torch / 'lib'}", "-lc10"], work, readable=(torch, _SOURCE))
        if done.code != 0:
            raise InfraError(f"PyTorch's device guard does not compile: {done.output[-2000:]}")
        (work / _LIBRARY).rename(folder / _LIBRARY)
        work.rmdir()

    return BuildCache(compiler.settings.cache_dir).entry(key, fill).folder / _LIBRARY


@lru_cache(maxsize=1)
def _torch_root() -> Path:
    # Looked up, not imported: importing it costs seconds.
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        raise InfraError("PyTorch is not installed; reinstall Kernelwright")
    return Path(spec.origin).parent
