"""Builds device code with a launch specification: NVRTC to PTX, ptxas for the resources."""

from __future__ import annotations

import sys
from pathlib import Path

from sandbox.build.compiler import Compiler
from sandbox.build.cuda import only_source
from sandbox.build.diagnosis import build_error, kernel_resources
from sandbox.build.record import Artefacts
from sandbox.launch.spec import SPEC_FILE, LaunchSpec, parse_launch_spec
from sandbox.values import BuildError, BuildErrorKind, Candidate

PTX = "candidate.ptx"


def raw_key(candidate: Candidate, compiler: Compiler) -> str:
    """Return the part of the cache key that is particular to this language: nothing beyond the source."""
    del candidate, compiler
    return "raw"


def build_raw(candidate: Candidate, arch: str, compiler: Compiler, folder: Path) -> Artefacts:
    """Compile into `folder`.

    Raises
    ------
    BuildError
        The source does not compile, or `launch.toml` is missing, wrong, or names a kernel that is not there.
    """
    source = only_source(candidate)
    spec = launch_spec(candidate)
    (folder / source.name).write_text(source.text, encoding="utf-8")
    (folder / SPEC_FILE).write_text(_spec_text(candidate), encoding="utf-8")
    tools = compiler.toolchain
    flags = (f"--gpu-architecture={arch.replace('sm_', 'compute_')}", "-lineinfo", "--std=c++17")
    includes = [f"-I{path}" for path in tools.cuda_includes]
    child = [sys.executable, "-I", "-B", "-m", "sandbox.build.nvrtc_child", source.name, PTX]
    compiled = compiler.run([*child, *flags, *includes], folder)
    if compiled.code != 0:
        raise build_error(compiled.output, arch=arch)
    assembled = compiler.run([str(tools.ptxas), "-v", f"-arch={arch}", PTX, "-o", "candidate.cubin"], folder)
    if assembled.code != 0:
        raise build_error(assembled.output, arch=arch, ptx=(folder / PTX).read_text(encoding="utf-8"))
    kernels = kernel_resources(assembled.output)
    _check_kernels(spec, {kernel.kernel for kernel in kernels})
    return Artefacts(
        library=None, ptx=PTX, flags=flags, log=f"{compiled.output}\n{assembled.output}".strip(), kernels=kernels
    )


def launch_spec(candidate: Candidate) -> LaunchSpec:
    """Return the candidate's launch specification.

    Raises
    ------
    BuildError
        It is missing or wrong.
    """
    return parse_launch_spec(_spec_text(candidate))


def _spec_text(candidate: Candidate) -> str:
    text = next((file.text for file in candidate.files if file.name == SPEC_FILE), None)
    if text is None:
        raise BuildError(BuildErrorKind.SPEC, f"a raw candidate needs a file {SPEC_FILE} beside its .cu file", "")
    return text


def _check_kernels(spec: LaunchSpec, known: set[str]) -> None:
    for launch in spec.launches:
        if launch.kernel not in known:
            names = ", ".join(sorted(known)) or "none"
            raise BuildError(
                BuildErrorKind.SPEC,
                f"{SPEC_FILE} launches `{launch.kernel}`, which the source does not define as an"
                f' `extern "C" __global__` function (it defines: {names})',
                "",
            )
