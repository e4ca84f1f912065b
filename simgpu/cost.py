"""A cost model: the time that a card would take for a launch, from what the simulator counted.

Every part of the card that a launch keeps busy gets a time of its own, as if the others were free:

- *DRAM*: distinct bytes, and the share of re-read sectors that misses L2, over the bandwidth that streaming kernels
  reach. Loads in flight bound it too (Little's law): warps, times loads that a warp keeps in flight, times bytes per
  load, over the latency. So wide loads and more warps reach more of the bandwidth.
- *L2*: all sectors over the L2 throughput, under the same law with the L2 latency.
- *load/store*: sectors through one SM's units, four per clock when they come from L1 and two per clock from L2.
- *compute*: the busiest of instruction issue (one per scheduler and clock), the arithmetic pipes, and the tensor cores,
  whose operations are counted by type.
- *shared*: one pass per clock and SM.
- *atomic*: lanes over the rate at which L2 combines them, less often where lanes of a warp meet at one address.
- *dispatch*: what giving the blocks out to the SMs takes, which many small blocks do not outlast.
- *latency*: the chain of work of one warp, as often as warps follow each other on an SM.

Work of one SM is counted for the busiest one, which runs ceil(blocks / SMs) blocks: too few blocks, or a last round
that does not fill the card, cost what they cost. The parts overlap, so the launch takes a soft maximum of them (the
p-norm) and the launch overhead.

Sources: the roofline (Williams et al., 2009); Little's law for memory (Volkov, Better Performance at Lower Occupancy,
2010); rates from the CUDA C++ Programming Guide; latencies and L2 throughput as `devices.toml` cites them; dispatch,
atomics, launch overhead, and what DRAM gives under load as measured on one H200 (`docs/benchmarks.md`).

Limits: L1 hits are not modelled, so a kernel whose only reuse is through L1 looks slower than it is: the counters do
not tell which SM read a sector again, or when. PTX instructions stand for machine instructions: register moves, which
ptxas removes, count nothing. Warps that meet at one address cost no more than others. An asynchronous copy counts as
the load that it replaces. Clusters have no terms. Power limits and clocks below boost are ignored. Times rank kernels
on one card; they are no forecast of a measurement.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from simgpu.occupancy import occupancy
from simgpu.report import Counters, Dim3, Limiter, ModelledLaunch, TimeBreakdown
from simgpu.specs import SECTOR_BYTES, WARP_SIZE, DeviceSpec

COST_MODEL_VERSION = "4"
"""Raised with every change that can change a modelled time; part of a modelled device's fingerprint."""

DRAM_CEILING = 0.89
"""Share of the peak DRAM bandwidth that streaming kernels reach: copies of 1 to 2 GiB on an H200."""
LOADED_DRAM_LATENCY = 1.7
"""How much later a busy DRAM answers than an idle one, whose latency `devices.toml` has (`docs/benchmarks.md`)."""
REREAD_MISSES = 0.25
"""Share of the re-read sectors beyond L2's reach that go to DRAM; blocks that run together share the rest."""
MAX_LOADS_IN_FLIGHT = 4
"""Loads that one warp keeps in flight when it has so many: what nvcc's default unrolling gives."""
L1_SECTORS_PER_CLOCK = 4
L2_SECTORS_PER_CLOCK_PER_SM = 2
"""64 bytes per clock between L2 and one SM (A100 whitepaper)."""
ATOMIC_LANES_PER_CLOCK = 150
"""Lanes per clock of the whole card that L2 combines when they go to different addresses (`docs/benchmarks.md`)."""
DEPENDENT_ISSUE_CLOCKS = 2.5
"""Clocks per instruction of one warp: a latency of 4 to 5, with pairs of independent instructions."""
SHARED_LATENCY_CLOCKS = 29
"""Latency of shared memory (arXiv:2402.13499)."""
BARRIER_CLOCKS = 30
"""What a barrier adds to a warp's chain."""
DISPATCH_CLOCKS_PER_BLOCK = 1.19
"""Clocks of the whole card for each block: seven kernels of 43,008 to 131,072 small blocks took 0.60 ns for each on an
H200, whatever they did (`docs/benchmarks.md`)."""
DISPATCH_CLOCKS_PER_WARP = 0.2
"""The same for each warp of larger blocks."""
OVERLAP_NORM = 6.0
"""Exponent of the soft maximum: 1 adds the parts up, infinity overlaps them entirely."""
SATURATION_NORM = 4.0
"""Exponent with which bandwidth saturates as bytes in flight grow."""

_FREE_CLASSES = frozenset({"move"})


@dataclass(frozen=True, slots=True)
class _Shape:
    """How the grid lies on the card."""

    blocks: int
    warps_per_block: int
    resident: int
    """Blocks that one SM holds at once."""
    per_sm: int
    """Blocks that the busiest SM runs."""
    rounds: float
    """Grid over the blocks that the card holds."""

    @property
    def share_of_busiest(self) -> float:
        """Part of the launch's work that the busiest SM does."""
        return self.per_sm / self.blocks

    @property
    def warps(self) -> int:
        return self.blocks * self.warps_per_block

    def active_warps(self, spec: DeviceSpec) -> float:
        """Warps in flight on the card, on average over full and partial rounds."""
        held = min(self.blocks, spec.sms * self.resident) * self.warps_per_block
        return held if self.rounds <= 1 else held * self.rounds / math.ceil(self.rounds)


def _shape(spec: DeviceSpec, grid: Dim3, block: Dim3, resident: int) -> _Shape:
    blocks = math.prod(grid)
    return _Shape(
        blocks=blocks,
        warps_per_block=math.ceil(math.prod(block) / WARP_SIZE),
        resident=resident,
        per_sm=math.ceil(blocks / spec.sms),
        rounds=blocks / (spec.sms * resident),
    )


def _saturating(wanted: float, ceiling: float) -> float:
    """Return the bandwidth reached when so much is wanted; both in gigabytes per second."""
    return wanted / math.pow(1 + math.pow(wanted / ceiling, SATURATION_NORM), 1 / SATURATION_NORM)


def _loads_in_flight(counters: Counters, warps: int) -> float:
    return min(max(counters.global_load_requests / warps, 1.0), float(MAX_LOADS_IN_FLIGHT))


def _load_latency_ns(spec: DeviceSpec, from_dram: float) -> float:
    """Return the mean latency of loads of which a share misses L2."""
    return from_dram * LOADED_DRAM_LATENCY * spec.dram_latency_ns + (1 - from_dram) * spec.l2_latency_ns


def _transfer_us(moved: float, bytes_in_flight: float, latency_ns: float, peak_gbps: float) -> float:
    """Return the microseconds of moving bytes at the bandwidth of Little's law, under a ceiling."""
    if not moved:
        return 0.0
    return moved / _saturating(bytes_in_flight / latency_ns, peak_gbps) / 1e3


def _dram_bytes(spec: DeviceSpec, counters: Counters) -> float:
    distinct = counters.unique_read_bytes + counters.unique_written_bytes
    reread = max(counters.global_load_sectors * SECTOR_BYTES - counters.unique_read_bytes, 0)
    beyond_l2 = 1 - spec.l2_bytes / distinct if distinct > spec.l2_bytes else 0.0
    return distinct + reread * beyond_l2 * REREAD_MISSES


def _memory_us(spec: DeviceSpec, counters: Counters, shape: _Shape) -> tuple[float, float]:
    """Return the microseconds of DRAM and of L2."""
    sectors = counters.global_load_sectors + counters.global_store_sectors
    requests = counters.global_load_requests + counters.global_store_requests
    if not sectors or not requests:
        return 0.0, 0.0
    in_flight = shape.active_warps(spec) * _loads_in_flight(counters, shape.warps)
    dram_bytes, l2_bytes = _dram_bytes(spec, counters), sectors * SECTOR_BYTES + counters.local_bytes
    from_dram = min(dram_bytes / (sectors * SECTOR_BYTES), 1.0)
    per_request = sectors * SECTOR_BYTES / requests
    # A strided access is not credited with bytes in flight that no lane asked for.
    asked = (counters.global_load_bytes + counters.global_store_bytes) / requests
    useful = min(asked, per_request) if asked else per_request
    latency = _load_latency_ns(spec, from_dram)
    dram = _transfer_us(dram_bytes, in_flight * useful * from_dram, latency, spec.dram_gbps * DRAM_CEILING)
    return dram, _transfer_us(l2_bytes, in_flight * per_request, spec.l2_latency_ns, spec.l2_gbps)


def _load_store_clocks(counters: Counters) -> float:
    requests = counters.global_load_requests + counters.global_store_requests
    sectors = counters.global_load_sectors + counters.global_store_sectors + counters.local_bytes / SECTOR_BYTES
    # Distinct sectors must come from L2; the rest may hit L1, at its own rate.
    from_l2 = min((counters.unique_read_bytes + counters.unique_written_bytes) / SECTOR_BYTES, sectors)
    return max(requests, from_l2 / L2_SECTORS_PER_CLOCK_PER_SM + (sectors - from_l2) / L1_SECTORS_PER_CLOCK)


def _compute_clocks(spec: DeviceSpec, counters: Counters) -> float:
    """Return the clocks that one SM would need for all instructions."""
    count = counters.instructions.get
    pipes = {
        "fp32": WARP_SIZE / spec.fp32_per_clock,
        # Counted as packed pairs; scalar halves take the same slot.
        "fp16": 2 * WARP_SIZE / spec.fp16_per_clock,
        "fp64": WARP_SIZE / spec.fp64_per_clock,
        "int": WARP_SIZE / spec.int_per_clock,
        "special": WARP_SIZE / spec.special_per_clock,
        "convert": WARP_SIZE / spec.convert_per_clock,
        "shuffle": WARP_SIZE / spec.shuffle_per_clock,
    }
    issued = sum(number for name, number in counters.instructions.items() if name not in _FREE_CLASSES)
    return max(
        issued / spec.schedulers_per_sm,
        _tensor_clocks(spec, counters),
        *(count(name, 0) * clocks for name, clocks in pipes.items()),
    )


def _tensor_clocks(spec: DeviceSpec, counters: Counters) -> float:
    """Return the clocks that the tensor cores of one SM would need: their operations share one pipe."""
    tflops = {
        "tensor_fp16": spec.tensor_fp16_tflops,
        "tensor_tf32": spec.tensor_tf32_tflops,
        "tensor_int8": 2 * spec.tensor_fp16_tflops,
        "tensor_fp8": 2 * spec.tensor_fp16_tflops,
        "tensor_fp64": spec.tensor_fp64_tflops,
    }
    clocks = 0.0
    for name, operations in counters.thread_flops.items():
        if not name.startswith("tensor_"):
            continue
        # A card without such cores runs them on its ordinary ones.
        rate = tflops.get(name, spec.tensor_fp16_tflops) * 1e12 or 2 * spec.fp64_per_clock * spec.sms * spec.clock_hz
        clocks += operations / (rate / spec.clock_hz / spec.sms)
    return clocks


def _chain_us(spec: DeviceSpec, counters: Counters, shape: _Shape) -> float:
    """Return the microseconds that one warp takes by itself, waiting for its own loads, barriers and atomics."""
    per_warp = 1 / shape.warps
    issued = sum(number for name, number in counters.instructions.items() if name not in _FREE_CLASSES)
    clocks = issued * per_warp * DEPENDENT_ISSUE_CLOCKS
    clocks += counters.shared_requests * per_warp * SHARED_LATENCY_CLOCKS / 2
    clocks += counters.shared_conflicts * per_warp
    clocks += counters.barriers * per_warp * BARRIER_CLOCKS
    waits_ns = 0.0
    if counters.global_load_requests:
        sector_bytes = counters.global_load_sectors * SECTOR_BYTES
        cold = min(counters.unique_read_bytes / sector_bytes, 1.0) if sector_bytes else 0.0
        rounds = counters.global_load_requests * per_warp / _loads_in_flight(counters, shape.warps)
        waits_ns += rounds * _load_latency_ns(spec, cold)
    waits_ns += counters.atomic_requests * per_warp * spec.l2_latency_ns
    return clocks / spec.boost_mhz + waits_ns / 1e3


def _dispatch_clocks(shape: _Shape) -> float:
    """Return the clocks in which the card gives its blocks out to the SMs."""
    return shape.blocks * max(DISPATCH_CLOCKS_PER_BLOCK, shape.warps_per_block * DISPATCH_CLOCKS_PER_WARP)


def model_launch(  # noqa: PLR0917 - the contract between the rooms lists them in this order
    spec: DeviceSpec,
    counters: Counters,
    grid: Dim3,
    block: Dim3,
    registers: int,
    static_shared: int,
    dynamic_shared: int,
) -> ModelledLaunch:
    """Estimate the time of one launch.

    Parameters
    ----------
    counters
        Events of the whole grid.
    registers
        Registers per thread, as ptxas reports them; 0 when unknown.
    static_shared, dynamic_shared
        Bytes of shared memory per block.

    Raises
    ------
    ValueError
        The grid or the block is empty, or one block does not fit on an SM.
    """
    threads = math.prod(block)
    if min(*grid, *block) < 1:
        raise ValueError(f"an empty launch: grid {grid}, block {block}")
    held = occupancy(spec, threads, registers, static_shared + dynamic_shared)
    if not held.blocks_per_sm:
        raise ValueError(f"a block of {threads} threads, {registers} registers each, does not fit: {held.limit}")
    shape = _shape(spec, grid, block, held.blocks_per_sm)
    busiest = shape.share_of_busiest
    dram, l2 = _memory_us(spec, counters, shape)
    breakdown = TimeBreakdown(
        launch=spec.launch_overhead_us,
        dram=dram,
        l2=l2,
        load_store=_load_store_clocks(counters) * busiest / spec.boost_mhz,
        compute=_compute_clocks(spec, counters) * busiest / spec.boost_mhz,
        shared=(counters.shared_requests + counters.shared_conflicts) * busiest / spec.boost_mhz,
        atomic=counters.atomic_lanes * max(counters.atomic_contention, 1) / ATOMIC_LANES_PER_CLOCK / spec.boost_mhz,
        latency=_chain_us(spec, counters, shape) * math.ceil(shape.per_sm / shape.resident),
        dispatch=_dispatch_clocks(shape) / spec.boost_mhz,
    )
    parts = {Limiter(name): value for name, value in asdict(breakdown).items() if name != Limiter.LAUNCH}
    work = sum(value**OVERLAP_NORM for value in parts.values()) ** (1 / OVERLAP_NORM)
    limiter = max(parts, key=lambda name: parts[name]) if work > breakdown.launch else Limiter.LAUNCH
    return ModelledLaunch(breakdown.launch + work, limiter, held.fraction, breakdown)


def roofline_us(spec: DeviceSpec, moved_bytes: float, flops: float, dtype: str) -> float:
    """Return the roofline time, microseconds: bytes over DRAM bandwidth, or arithmetic over the type's usual rate.

    What a kernel is compared with, not a proof: data left in L2 by an earlier kernel, or float32 arithmetic on tensor
    cores, can beat it; see `floor_us` for what nothing can beat. Source: Williams et al., Roofline, 2009.

    Parameters
    ----------
    moved_bytes
        Bytes that must be read and written at least once.
    flops
        Arithmetic operations of the op; a fused multiply-add counts two.
    dtype
        Type of the arithmetic, as in `floor_us`.
    """
    rate = spec.fp32_per_clock * 2 * spec.sms * spec.clock_hz if dtype == "float32" else _fastest_rate(spec, dtype)
    return max(moved_bytes / (spec.dram_gbps * 1e9), flops / rate) * 1e6


def floor_us(spec: DeviceSpec, moved_bytes: float, flops: float, dtype: str) -> float:
    """Return a time below which no kernel on this card can be: evidence of an error in the measurement.

    Parameters
    ----------
    moved_bytes
        Bytes that must be read and written at least once. As many as L2 holds may still be there from an earlier
        kernel, so they count at the rate at which all SMs together can take bytes from L2.
    flops
        Arithmetic operations that the result needs; a fused multiply-add counts two.
    dtype
        Type of the arithmetic: `float64`, `float32`, `float16`, `bfloat16`, or an integer type. For `float32` tensor
        cores count at a third of their tf32 rate, since three products emulate one.

    Raises
    ------
    ValueError
        The type is unknown.
    """
    near = min(moved_bytes, spec.l2_bytes)
    l2_rate = L2_SECTORS_PER_CLOCK_PER_SM * SECTOR_BYTES * spec.sms * spec.clock_hz
    memory = near / l2_rate + (moved_bytes - near) / (spec.dram_gbps * 1e9)
    return max(memory, flops / _fastest_rate(spec, dtype)) * 1e6


def _fastest_rate(spec: DeviceSpec, dtype: str) -> float:
    """Return the operations per second that the card's fastest units reach in a type."""
    per_second = 2 * spec.sms * spec.clock_hz
    rates = {
        "float64": max(spec.fp64_per_clock * per_second, spec.tensor_fp64_tflops * 1e12),
        "float32": max(spec.fp32_per_clock * per_second, spec.tensor_tf32_tflops * 1e12 / 3),
        "float16": max(spec.fp16_per_clock * per_second, spec.tensor_fp16_tflops * 1e12),
        "bfloat16": max(spec.fp16_per_clock * per_second, spec.tensor_fp16_tflops * 1e12),
    }
    if dtype.removeprefix("u").startswith("int") or dtype == "bool":
        return spec.int_per_clock * per_second
    if dtype not in rates:
        raise ValueError(f"no arithmetic rate for {dtype!r}")
    return rates[dtype]
