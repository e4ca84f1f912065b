"""The cards that simgpu can model: the figures of `devices.toml` as typed values."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

from pydantic import BaseModel, ConfigDict, Field

from simgpu.errors import SimgpuError

WARP_SIZE = 32
"""Threads per warp, on every card."""
SECTOR_BYTES = 32
"""Bytes of the smallest piece of global memory that moves between L1, L2 and DRAM."""


class UnknownDeviceError(SimgpuError):
    """A card that `devices.toml` does not describe."""


class DeviceSpec(BaseModel):
    """One card's figures.

    Rates are results per SM and clock; bandwidths are decimal gigabytes per second.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """Short name, as in `sim:h100`."""
    title: str
    """Name that the card reports to programs."""
    arch: str = Field(pattern=r"^sm_\d+$")
    """Real architecture that kernels are built for, for instance `sm_90`."""
    sms: int = Field(gt=0)
    """Streaming multiprocessors."""
    boost_mhz: int = Field(gt=0)
    """SM boost clock."""
    memory_bytes: int = Field(gt=0)
    """Device memory."""
    memory_mhz: int = Field(gt=0)
    """Memory clock, as the device attribute gives it."""
    memory_bus_bits: int = Field(gt=0)
    """Width of the memory bus."""
    dram_gbps: float = Field(gt=0)
    """Peak DRAM bandwidth."""
    dram_latency_ns: float = Field(gt=0)
    """Latency of a load that misses L2."""
    l2_bytes: int = Field(gt=0)
    """L2 cache size."""
    l2_bytes_per_clock: float = Field(gt=0)
    """Sustained L2 read throughput of the whole card, per SM clock."""
    l2_latency_ns: float = Field(gt=0)
    """Latency of a load that hits L2."""
    host_link_gbps: float = Field(gt=0)
    """PCIe bandwidth in one direction."""
    launch_overhead_us: float = Field(gt=0)
    """Least time that one kernel takes in a stream of kernels."""
    max_warps_per_sm: int = Field(gt=0)
    """Resident warps."""
    max_blocks_per_sm: int = Field(gt=0)
    """Resident blocks."""
    registers_per_sm: int = Field(gt=0)
    """32-bit registers, also the most that one block may use."""
    shared_per_sm: int = Field(gt=0)
    """Bytes of shared memory of one SM."""
    shared_per_block_optin: int = Field(gt=0)
    """Most bytes of shared memory that one block may ask for (`cudaFuncAttributeMaxDynamicSharedMemorySize`)."""
    shared_per_block: int = 49_152
    """Most bytes of shared memory per block without asking for more."""
    shared_reserved: int = 1_024
    """Bytes of shared memory that the system takes per block."""
    shared_granularity: int = 128
    """Shared memory is allocated in multiples of this."""
    register_granularity: int = 256
    """Registers are allocated per warp, in multiples of this."""
    max_registers_per_thread: int = 255
    """Most registers that one thread may use."""
    max_threads_per_block: int = 1_024
    """Most threads of one block."""
    max_block: tuple[int, int, int] = (1_024, 1_024, 64)
    """Most threads per dimension."""
    max_grid: tuple[int, int, int] = (2_147_483_647, 65_535, 65_535)
    """Most blocks per dimension."""
    schedulers_per_sm: int = 4
    """Warp schedulers, each of which issues one instruction per clock."""
    fp32_per_clock: float = Field(gt=0)
    """fp32 add, multiply, fused multiply-add."""
    fp16_per_clock: float = Field(gt=0)
    """fp16 add, multiply, fused multiply-add on packed pairs; both halves count."""
    fp64_per_clock: float = Field(gt=0)
    """fp64 add, multiply, fused multiply-add."""
    int_per_clock: float = Field(gt=0)
    """32-bit integer add, multiply, logic, shift, compare."""
    special_per_clock: float = Field(gt=0)
    """Reciprocal, root, exponential, logarithm, sine, cosine."""
    convert_per_clock: float = Field(gt=0)
    """Conversions between 32-bit types."""
    shuffle_per_clock: float = Field(gt=0)
    """Warp shuffles."""
    tensor_fp16_tflops: float = Field(gt=0)
    """Dense fp16 tensor-core rate with fp32 accumulation, 10^12 operations per second."""
    tensor_tf32_tflops: float = Field(gt=0)
    """Dense tf32 tensor-core rate, 10^12 operations per second."""
    tensor_fp64_tflops: float = 0.0
    """Dense fp64 tensor-core rate, 10^12 operations per second; 0 without such cores."""
    sources: tuple[str, ...] = Field(min_length=1)
    """Where the figures come from."""

    @property
    def compute_capability(self) -> tuple[int, int]:
        """Major and minor compute capability."""
        major, minor = divmod(int(self.arch.removeprefix("sm_")), 10)
        return major, minor

    @property
    def max_threads_per_sm(self) -> int:
        """Resident threads."""
        return self.max_warps_per_sm * WARP_SIZE

    @property
    def clock_hz(self) -> float:
        """SM clock in hertz."""
        return self.boost_mhz * 1e6

    @property
    def l2_gbps(self) -> float:
        """L2 read bandwidth at the boost clock."""
        return self.l2_bytes_per_clock * self.boost_mhz / 1e3


@cache
def _devices() -> dict[str, DeviceSpec]:
    text = resources.files("simgpu").joinpath("devices.toml").read_text(encoding="utf-8")
    return {name: DeviceSpec(name=name, **table) for name, table in tomllib.loads(text).items()}


def known_devices() -> tuple[str, ...]:
    """Return the names that `device_spec` takes, in the order of `devices.toml`."""
    return tuple(_devices())


def device_spec(name: str) -> DeviceSpec:
    """Return the figures of one card.

    Raises
    ------
    UnknownDeviceError
        No such card; the message names the known ones.
    """
    try:
        return _devices()[name]
    except KeyError:
        raise UnknownDeviceError(f"unknown card {name!r}; known are {', '.join(known_devices())}") from None
