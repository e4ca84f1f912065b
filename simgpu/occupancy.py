"""Theoretical occupancy: how many blocks of a kernel an SM holds at once.

The rules are those of NVIDIA's occupancy calculator (`cuda_occupancy.h` of the CUDA toolkit; a test compares the two):
registers are allocated per warp in units and per sub-partition of the SM, shared memory per block in units, with what
the system reserves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from simgpu.specs import WARP_SIZE, DeviceSpec


class OccupancyLimit(StrEnum):
    """What keeps further blocks off an SM."""

    WARPS = "warps"
    BLOCKS = "blocks"
    REGISTERS = "registers"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class Occupancy:
    """Resident blocks and warps of one SM; no blocks means that the kernel cannot be launched so."""

    blocks_per_sm: int
    warps_per_sm: int
    fraction: float
    """Resident warps over the most that an SM holds."""
    limit: OccupancyLimit


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def _blocks_by_registers(spec: DeviceSpec, warps: int, registers: int) -> int:
    if registers > spec.max_registers_per_thread:
        return 0
    per_warp = _round_up(registers * WARP_SIZE, spec.register_granularity)
    # The launch check assumes that every sub-partition takes an equal share of the block's warps.
    if per_warp * _round_up(warps, spec.schedulers_per_sm) > spec.registers_per_sm:
        return 0
    warps_per_partition = spec.registers_per_sm // spec.schedulers_per_sm // per_warp
    return warps_per_partition * spec.schedulers_per_sm // warps


def _blocks_by_shared(spec: DeviceSpec, shared_bytes: int) -> int:
    if shared_bytes > spec.shared_per_block_optin:
        return 0
    return spec.shared_per_sm // _round_up(shared_bytes + spec.shared_reserved, spec.shared_granularity)


def occupancy(spec: DeviceSpec, threads_per_block: int, registers: int, shared_bytes: int) -> Occupancy:
    """Compute how many blocks one SM holds.

    Parameters
    ----------
    threads_per_block
        Threads of a block, 1 to the card's limit.
    registers
        Registers per thread, as ptxas reports them; 0 when unknown, which counts as no limit.
    shared_bytes
        Static and dynamic shared memory per block.
    """
    warps = math.ceil(threads_per_block / WARP_SIZE)
    limits = {
        OccupancyLimit.WARPS: spec.max_warps_per_sm // warps,
        OccupancyLimit.BLOCKS: spec.max_blocks_per_sm,
        OccupancyLimit.SHARED: _blocks_by_shared(spec, shared_bytes),
    }
    if registers:
        limits[OccupancyLimit.REGISTERS] = _blocks_by_registers(spec, warps, registers)
    limit = min(limits, key=lambda name: limits[name])
    blocks = limits[limit]
    return Occupancy(blocks, blocks * warps, blocks * warps / spec.max_warps_per_sm, limit)
