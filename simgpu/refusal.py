"""How an instruction that simgpu lacks is refused: by name, with its place in source and PTX, and a way out."""

from __future__ import annotations

from simgpu.errors import UnsupportedError
from simgpu.ptx.syntax import Instruction

_NO_TEXTURES = "textures and surfaces are not simulated: read the data through a pointer"
_NO_CLUSTERS = "thread block clusters are not simulated: launch the kernel without them"
_NO_HEAP = "the heap of kernels is not simulated: allocate with cudaMalloc and pass the pointer"
_NO_CHILDREN = "launches by kernels are not simulated: launch from the host"
_REMEDIES = {
    "wgmma": "warpgroup products are not simulated: build for sm_80, whose mma.sync is, or run on a GPU",
    "tensormap": "TMA is not simulated: copy by cp.async, or run on a GPU",
    **dict.fromkeys(("tex", "tld4", "txq", "istypep", "suld", "sust", "sured", "suq"), _NO_TEXTURES),
    **dict.fromkeys(("mapa", "getctarank"), _NO_CLUSTERS),
}
"""What to do instead, by base opcode."""
_MODIFIER_REMEDIES = {
    "bulk": "TMA's bulk copies are not simulated: copy by cp.async, or run on a GPU",
    "cluster": _NO_CLUSTERS,
    "shared::cluster": _NO_CLUSTERS,
}
_CALL_REMEDIES = {
    "malloc": _NO_HEAP,
    "free": _NO_HEAP,
    "cudaGetParameterBufferV2": _NO_CHILDREN,
    "cudaLaunchDeviceV2": _NO_CHILDREN,
    "cudaCGGetIntrinsicHandle": "multi-device and multi-grid groups are not simulated: synchronise a grid of one card",
}
"""What to do instead, by the function that is called."""


def refused(instruction: Instruction, why: str = "", *, called: str = "") -> UnsupportedError:
    """Build the error that names an instruction.

    Parameters
    ----------
    why
        Which part of it is missing, where it is not all of it.
    called
        The function that it calls, which is what is missing.
    """
    place = "" if instruction.location is None else f"{instruction.location.file}:{instruction.location.line}, "
    reason = f"call of {called}, which has no body" if called else instruction.opcode
    text = f"{reason} ({place}PTX line {instruction.line})"
    parts = [part for part in (why, _remedy(instruction, called)) if part]
    return UnsupportedError(": ".join([text, "; ".join(parts)]) if parts else text)


def _remedy(instruction: Instruction, called: str) -> str:
    if called:
        return _CALL_REMEDIES.get(called, "")
    by_modifier = (_MODIFIER_REMEDIES[name] for name in instruction.modifiers if name in _MODIFIER_REMEDIES)
    return _REMEDIES.get(instruction.base) or next(by_modifier, "")
