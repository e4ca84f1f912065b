"""Where the compilers are: nvcc, ptxas and NVRTC from PyPI, TVM FFI's headers, and a host C++ compiler.

`findings` says it, and what holds untrusted code, to `kernelwright doctor`.

The CUDA pieces come from the wheels of `cuda-toolkit` (folder `nvidia/cu13` of site-packages), never from a system
installation, so that every machine builds the same machine code from the same source.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from sandbox.devices import find_gpus
from sandbox.isolation import isolation_findings
from sandbox.values import Finding
from tasks.errors import InfraError

_CUDA_REMEDY = "reinstall Kernelwright, or run: pip install 'cuda-toolkit[nvcc,cudart,nvrtc,cccl]==13.0.*'"
_TVM_FFI_REMEDY = "reinstall Kernelwright, or run: pip install 'apache-tvm-ffi>=0.1.15,<0.2'"
_TORCH_REMEDY = "reinstall Kernelwright, or run: pip install 'torch>=2.7,<2.14'"
_GXX_REMEDY = "install the GNU C++ compiler, for instance: apt-get install g++"

_VERSION_SECONDS = 20.0

_HEADERS = Path(__file__).parent / "include"


@dataclass(frozen=True, slots=True)
class Toolchain:
    """Everything that builds a candidate, with the versions that a cached build depends on."""

    cuda: Path
    """Root of the CUDA wheels, with `bin`, `include`, `lib`, `nvvm`."""
    tvm_ffi: Path
    """Folder of the TVM FFI package, with `include` and `lib`."""
    gxx: Path
    """Host C++ compiler."""
    cuda_version: str
    """Version of the nvcc wheel."""
    tvm_ffi_version: str
    """Version of the TVM FFI wheel."""
    gxx_version: str
    """Version of the host compiler."""

    @property
    def nvcc(self) -> Path:
        """The CUDA compiler driver."""
        return self.cuda / "bin" / "nvcc"

    @property
    def ptxas(self) -> Path:
        """The assembler."""
        return self.cuda / "bin" / "ptxas"

    @property
    def nvdisasm(self) -> Path | None:
        """The disassembler, where its wheel is installed."""
        found = self.cuda / "bin" / "nvdisasm"
        return found if found.exists() else None

    @property
    def cudart(self) -> Path:
        """The CUDA runtime that shared objects are linked against."""
        return self.cuda / "lib" / "libcudart.so.13"

    @property
    def cuda_includes(self) -> tuple[Path, ...]:
        """Include folders of CUDA itself."""
        return (self.cuda / "include", self.cuda / "include" / "cccl")

    @property
    def tvm_ffi_library(self) -> Path:
        """TVM FFI's runtime."""
        return self.tvm_ffi / "lib" / "libtvm_ffi.so"

    @property
    def headers(self) -> Path:
        """Our light headers."""
        return _HEADERS

    @property
    def identity(self) -> str:
        """One line that changes whenever a compiler changes."""
        return f"nvcc {self.cuda_version}, g++ {self.gxx_version}, tvm-ffi {self.tvm_ffi_version}"


@dataclass(frozen=True, slots=True)
class TorchHeaders:
    """PyTorch as a C++ library."""

    includes: tuple[Path, ...]
    """Include folders."""
    libraries: Path
    """Folder of its shared objects."""
    version: str
    """Version of the wheel."""
    with_cuda: bool
    """Whether it was built with CUDA."""


@lru_cache(maxsize=1)
def find_torch_headers() -> TorchHeaders:
    """Find PyTorch's headers and libraries, without importing it.

    Raises
    ------
    InfraError
        They are not installed.
    """
    spec = importlib.util.find_spec("torch")
    root = next((Path(place) for place in (spec.submodule_search_locations or ())), None) if spec else None
    if root is None or not (root / "include" / "ATen" / "ATen.h").exists():
        raise InfraError(f"PyTorch's headers are not installed; {_TORCH_REMEDY}")
    include = root / "include"
    return TorchHeaders(
        includes=(include, include / "torch" / "csrc" / "api" / "include"),
        libraries=root / "lib",
        version=_version("torch"),
        with_cuda=(root / "lib" / "libc10_cuda.so").exists(),
    )


@lru_cache(maxsize=1)
def find_toolchain() -> Toolchain:
    """Find every compiler that a build needs.

    Raises
    ------
    InfraError
        Something is missing; the message names it and how to get it.
    """
    cuda = cuda_root()
    return Toolchain(
        cuda=cuda,
        tvm_ffi=_tvm_ffi_root(),
        gxx=_gxx(),
        cuda_version=_version("nvidia-cuda-nvcc"),
        tvm_ffi_version=_version("apache-tvm-ffi"),
        gxx_version=_gxx_version(_gxx()),
    )


def cuda_root() -> Path:
    """Return the root of the CUDA wheels.

    Raises
    ------
    InfraError
        The wheels, or a part of them, are not installed.
    """
    spec = importlib.util.find_spec("nvidia")
    roots = [Path(place) / "cu13" for place in (spec.submodule_search_locations or ())] if spec else []
    root = next((place for place in roots if place.is_dir()), None)
    if root is None:
        raise InfraError(f"the CUDA compiler wheels are not installed; {_CUDA_REMEDY}")
    parts = ("bin/nvcc", "bin/ptxas", "bin/cudafe++", "nvvm/bin/cicc", "include/cuda_runtime.h", "lib/libcudart.so.13")
    missing = [part for part in parts if not (root / part).exists()]
    if missing:
        raise InfraError(f"the CUDA compiler wheels lack {', '.join(missing)}; {_CUDA_REMEDY}")
    return root


def nvrtc_library() -> Path:
    """Return NVRTC's shared library.

    Raises
    ------
    InfraError
        It is not installed.
    """
    found = cuda_root() / "lib" / "libnvrtc.so.13"
    if not found.exists():
        raise InfraError(f"NVRTC is not installed; {_CUDA_REMEDY}")
    return found


def findings() -> tuple[Finding, ...]:
    """Say what this machine has of everything that the sandbox uses."""
    return (
        _finding("nvcc", lambda: f"{_version('nvidia-cuda-nvcc')} in {cuda_root() / 'bin'}", _CUDA_REMEDY),
        _finding("nvrtc", lambda: f"{_version('nvidia-cuda-nvrtc')}, {nvrtc_library().name}", _CUDA_REMEDY),
        _finding("g++", lambda: f"{_gxx_version(_gxx())} in {_gxx()}", _GXX_REMEDY),
        _finding("tvm-ffi", lambda: f"{_version('apache-tvm-ffi')} in {_tvm_ffi_root()}", _TVM_FFI_REMEDY),
        *isolation_findings(),
        _gpu_finding(),
    )


def _finding(name: str, look: Callable[[], str], remedy: str) -> Finding:
    try:
        return Finding(name=name, ok=True, detail=look())
    except InfraError as error:
        return Finding(name=name, ok=False, detail=str(error).split(";")[0], remedy=remedy)


def _gpu_finding() -> Finding:
    gpus = find_gpus()
    if gpus:
        found = ", ".join(f"cuda:{gpu.index} {gpu.name} ({gpu.arch}, driver {gpu.driver})" for gpu in gpus)
        return Finding(name="gpu", ok=True, detail=found, required=False)
    return Finding(
        name="gpu",
        ok=False,
        detail="no NVIDIA GPU with a driver; kernels run on simulated cards",
        remedy="nothing to do, unless there is a GPU: then install NVIDIA's driver",
        required=False,
    )


def _tvm_ffi_root() -> Path:
    # The package is looked up, not imported: importing it would import torch.
    spec = importlib.util.find_spec("tvm_ffi")
    places = (spec.submodule_search_locations or ()) if spec else ()
    root = next((Path(place) for place in places), None)
    if root is None or not (root / "include" / "tvm" / "ffi" / "c_api.h").exists():
        raise InfraError(f"TVM FFI's headers are not installed; {_TVM_FFI_REMEDY}")
    return root


def _gxx() -> Path:
    found = shutil.which("g++")
    if found is None:
        raise InfraError(f"there is no g++ on PATH, and nvcc needs a host compiler; {_GXX_REMEDY}")
    return Path(found)


def _gxx_version(gxx: Path) -> str:
    try:
        asked = subprocess.run(
            [str(gxx), "-dumpfullversion"], capture_output=True, text=True, timeout=_VERSION_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise InfraError(f"{gxx} does not run ({error}); {_GXX_REMEDY}") from error
    return asked.stdout.strip()


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError as error:
        raise InfraError(f"the package {distribution} is not installed; {_CUDA_REMEDY}") from error
