"""What Triton's pipeline leaves for the simulator: PTX, and the registers that ptxas chose.

Triton compiles Python to PTX and has ptxas make a cubin of it. The driver sees that last product only, so the last
stage is wrapped, through Triton's hook for pipelines, to yield the PTX with the registers noted in a comment.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, MutableMapping
from typing import Protocol

from simgpu.cudart.cubin import kernel_resources

_FORMAT = "simgpu-ptx-1"
"""Part of Triton's cache keys, so that its cache never mixes these binaries with cubins."""
_REGISTERS = re.compile(r"^// simgpu registers (\d+)$", re.MULTILINE)

Stage = Callable[[str, MutableMapping[str, object]], object]


class PipelineHook(Protocol):
    """Triton's `knobs.runtime.add_stages_inspection_hook`: without arguments it names itself, else it edits stages."""

    def __call__(
        self,
        backend: object = None,
        stages: MutableMapping[str, Stage] | None = None,
        options: object = None,
        language: object = None,
        capability: object = None,
    ) -> tuple[str, str]:
        """Return the key and the hash of the changed pipeline."""


def keep_ptx(following: PipelineHook | None) -> PipelineHook:
    """Return a hook that makes Triton's last stage yield PTX; a hook that is already set is called first."""

    def hook(
        backend: object = None,
        stages: MutableMapping[str, Stage] | None = None,
        options: object = None,
        language: object = None,
        capability: object = None,
    ) -> tuple[str, str]:
        inner = following() if following is not None and stages is None else ("", "")
        if stages is not None:
            if following is not None:
                following(backend, stages, options, language, capability)
            stages["cubin"] = _bundle(stages["cubin"])
        key = inner[0] + _FORMAT
        return key, hashlib.sha256(key.encode()).hexdigest()

    return hook


def _bundle(assemble: Stage) -> Stage:
    def stage(source: str, metadata: MutableMapping[str, object]) -> bytes:
        cubin = assemble(source, metadata)
        if not isinstance(cubin, bytes):
            raise TypeError(f"Triton's last stage gave {type(cubin).__name__} where a cubin was expected")
        resources = kernel_resources(cubin).get(str(metadata["name"]))
        return f"{source}\n// simgpu registers {resources.registers if resources else 0}\n".encode()

    return stage


def registers_of(ptx: str) -> int:
    """Return the registers per thread noted in a binary; 0 when unknown."""
    found = _REGISTERS.search(ptx)
    return int(found[1]) if found else 0
