"""Device attributes, numbered as `cudaDeviceAttr`, from a card's figures."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from simgpu.specs import WARP_SIZE, DeviceSpec


class DeviceAttribute(IntEnum):
    """The attributes that mean something on a simulated card (`driver_types.h`, `cudaDeviceAttr`)."""

    MAX_THREADS_PER_BLOCK = 1
    MAX_BLOCK_X = 2
    MAX_BLOCK_Y = 3
    MAX_BLOCK_Z = 4
    MAX_GRID_X = 5
    MAX_GRID_Y = 6
    MAX_GRID_Z = 7
    SHARED_PER_BLOCK = 8
    CONSTANT_MEMORY = 9
    WARP_SIZE = 10
    MAX_PITCH = 11
    REGISTERS_PER_BLOCK = 12
    CLOCK_KHZ = 13
    TEXTURE_ALIGNMENT = 14
    GPU_OVERLAP = 15
    SM_COUNT = 16
    KERNEL_TIMEOUT = 17
    INTEGRATED = 18
    CAN_MAP_HOST_MEMORY = 19
    COMPUTE_MODE = 20
    CONCURRENT_KERNELS = 31
    ECC_ENABLED = 32
    PCI_BUS_ID = 33
    PCI_DEVICE_ID = 34
    MEMORY_CLOCK_KHZ = 36
    MEMORY_BUS_BITS = 37
    L2_BYTES = 38
    THREADS_PER_SM = 39
    ASYNC_ENGINES = 40
    UNIFIED_ADDRESSING = 41
    PCI_DOMAIN_ID = 50
    COMPUTE_CAPABILITY_MAJOR = 75
    COMPUTE_CAPABILITY_MINOR = 76
    STREAM_PRIORITIES = 78
    GLOBAL_L1_CACHE = 79
    LOCAL_L1_CACHE = 80
    SHARED_PER_SM = 81
    REGISTERS_PER_SM = 82
    MANAGED_MEMORY = 83
    MULTI_GPU_BOARD = 84
    PAGEABLE_MEMORY_ACCESS = 88
    CONCURRENT_MANAGED_ACCESS = 89
    COMPUTE_PREEMPTION = 90
    COOPERATIVE_LAUNCH = 95
    SHARED_PER_BLOCK_OPTIN = 97
    HOST_REGISTER = 99
    BLOCKS_PER_SM = 106
    SHARED_RESERVED_PER_BLOCK = 111
    MEMORY_POOLS = 115
    CLUSTER_LAUNCH = 120


_ATTRIBUTES_END = 148
"""`cudaDevAttrMax` of the CUDA 13.0 headers."""


def device_attributes(spec: DeviceSpec) -> Mapping[int, int]:
    """Return the value of every known attribute; features that the stand-in lacks read 0."""
    name = DeviceAttribute
    major, minor = spec.compute_capability
    values: dict[int, int] = dict.fromkeys(range(1, _ATTRIBUTES_END), 0)
    values |= dict(zip((name.MAX_BLOCK_X, name.MAX_BLOCK_Y, name.MAX_BLOCK_Z), spec.max_block, strict=True))
    values |= dict(zip((name.MAX_GRID_X, name.MAX_GRID_Y, name.MAX_GRID_Z), spec.max_grid, strict=True))
    values |= {
        name.MAX_THREADS_PER_BLOCK: spec.max_threads_per_block,
        name.SHARED_PER_BLOCK: spec.shared_per_block,
        name.CONSTANT_MEMORY: 65_536,
        name.WARP_SIZE: WARP_SIZE,
        name.MAX_PITCH: 2**31 - 1,
        name.REGISTERS_PER_BLOCK: spec.registers_per_sm,
        name.CLOCK_KHZ: spec.boost_mhz * 1000,
        name.TEXTURE_ALIGNMENT: 512,
        name.GPU_OVERLAP: 1,
        name.SM_COUNT: spec.sms,
        name.CAN_MAP_HOST_MEMORY: 1,
        name.CONCURRENT_KERNELS: 1,
        name.MEMORY_CLOCK_KHZ: spec.memory_mhz * 1000,
        name.MEMORY_BUS_BITS: spec.memory_bus_bits,
        name.L2_BYTES: spec.l2_bytes,
        name.THREADS_PER_SM: spec.max_threads_per_sm,
        name.ASYNC_ENGINES: 2,
        name.UNIFIED_ADDRESSING: 1,
        name.COMPUTE_CAPABILITY_MAJOR: major,
        name.COMPUTE_CAPABILITY_MINOR: minor,
        name.GLOBAL_L1_CACHE: 1,
        name.LOCAL_L1_CACHE: 1,
        name.SHARED_PER_SM: spec.shared_per_sm,
        name.REGISTERS_PER_SM: spec.registers_per_sm,
        name.MANAGED_MEMORY: 1,
        name.CONCURRENT_MANAGED_ACCESS: 1,
        name.COOPERATIVE_LAUNCH: 1,
        name.SHARED_PER_BLOCK_OPTIN: spec.shared_per_block_optin,
        name.HOST_REGISTER: 1,
        name.BLOCKS_PER_SM: spec.max_blocks_per_sm,
        name.SHARED_RESERVED_PER_BLOCK: spec.shared_reserved,
        name.MEMORY_POOLS: 1,
    }
    return values
