"""Compiles device code with NVRTC, in a process of its own: NVRTC parses untrusted text in the caller's process.

Run as `python -m sandbox.build.nvrtc_child SOURCE OUTPUT OPTION...`; the log goes to standard error.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cuda.bindings import nvrtc


def compile_ptx(source: Path, output: Path, options: list[str]) -> int:
    """Compile `source` to PTX; returns 0, or 1 when it does not compile."""
    _, program = nvrtc.nvrtcCreateProgram(source.read_bytes(), source.name.encode(), 0, [], [])
    encoded = [option.encode() for option in options]
    (outcome,) = nvrtc.nvrtcCompileProgram(program, len(encoded), encoded)
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    log = b" " * size
    nvrtc.nvrtcGetProgramLog(program, log)
    sys.stderr.write(log.decode(errors="replace").rstrip("\0 \n") + "\n")
    if outcome != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        return 1
    _, size = nvrtc.nvrtcGetPTXSize(program)
    ptx = b" " * size
    nvrtc.nvrtcGetPTX(program, ptx)
    output.write_bytes(ptx.rstrip(b"\0"))
    return 0


if __name__ == "__main__":
    sys.exit(compile_ptx(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
