"""Theoretical occupancy of built kernels: how much of a card's multiprocessor they fill at a block size."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.values import KernelResources
from simgpu.occupancy import OccupancyLimit, occupancy
from simgpu.specs import DeviceSpec, device_spec, known_devices
from tasks.values import Value

BLOCK_SIZES = (64, 128, 256, 512, 1024)
"""Threads per block that are shown when nobody asks for others."""


class KernelOccupancy(Value):
    """One kernel at one block size on one card."""

    kernel: str
    """Mangled device name."""
    arch: str
    """Real architecture of the machine code."""
    card: str
    """The card whose limits are used."""
    threads: int
    """Threads per block."""
    dynamic_shared: int
    """Bytes of dynamic shared memory per block, besides the static."""
    blocks_per_sm: int
    """Blocks that one multiprocessor holds; 0 means that the launch is refused."""
    warps_per_sm: int
    """Warps of these blocks."""
    fraction: float
    """Warps over the most that a multiprocessor holds."""
    limit: OccupancyLimit
    """What keeps further blocks off."""


def kernel_occupancy(
    kernels: Sequence[KernelResources], threads: Sequence[int] = BLOCK_SIZES, dynamic_shared: int = 0
) -> tuple[KernelOccupancy, ...]:
    """Compute the theoretical occupancy of each kernel at each block size.

    Kernels for an architecture that no known card has are left out.

    Parameters
    ----------
    kernels
        As a `Build` holds them.
    threads
        Threads per block.
    dynamic_shared
        Bytes of dynamic shared memory per block.
    """
    found = []
    for kernel in kernels:
        card = card_of(kernel.arch)
        if card is None:
            continue
        spec = device_spec(card)
        found += [_at(kernel, card, spec, count, dynamic_shared) for count in threads]
    return tuple(found)


def card_of(arch: str) -> str | None:
    """Return the first known card of an architecture, for instance `h100` for `sm_90`; None when there is none."""
    return next((name for name in known_devices() if device_spec(name).arch == arch), None)


def _at(kernel: KernelResources, card: str, spec: DeviceSpec, threads: int, dynamic_shared: int) -> KernelOccupancy:
    held = occupancy(spec, threads, kernel.registers, kernel.static_shared + dynamic_shared)
    return KernelOccupancy(
        kernel=kernel.kernel,
        arch=kernel.arch,
        card=card,
        threads=threads,
        dynamic_shared=dynamic_shared,
        blocks_per_sm=held.blocks_per_sm,
        warps_per_sm=held.warps_per_sm,
        fraction=held.fraction,
        limit=held.limit,
    )
