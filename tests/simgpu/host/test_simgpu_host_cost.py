"""The cost model: kernels that are known to be faster rank as faster, and more work never costs less.

Counters are worked out by hand here, so that the model is tested apart from the simulator that counts.
"""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simgpu.cost import DRAM_CEILING, floor_us, model_launch, roofline_us
from simgpu.report import Counters, Limiter
from simgpu.specs import device_spec, known_devices

H100 = device_spec("h100")
CARDS = [device_spec(name) for name in known_devices()]


def copy(elements, width=1, stride=1):
    """Counters of `y[i] = x[i]` on floats, `width` per thread, where neighbouring lanes lie `stride` accesses apart."""
    warps = elements // (32 * width)
    sectors = min(32, 4 * width * stride) if width * stride < 32 else 32
    return Counters(
        instructions={"int": 6 * warps, "global_load": warps, "global_store": warps, "control": warps},
        global_load_requests=warps,
        global_load_sectors=warps * max(sectors, 4 * width),
        global_load_bytes=4 * elements,
        global_store_requests=warps,
        global_store_sectors=warps * max(sectors, 4 * width),
        global_store_bytes=4 * elements,
        unique_read_bytes=4 * elements,
        unique_written_bytes=4 * elements,
    )


def matmul(size, tile=None, conflicts=0):
    """Counters of a square float matrix product with 16x16 threads per block, naive or through shared tiles."""
    warps, steps = size * size // 32, size
    loads = 2 * warps * steps if tile is None else 2 * warps * (steps // tile)
    shared = 0 if tile is None else 2 * warps * steps
    return Counters(
        instructions={
            "fp32": warps * steps,
            "int": warps * steps // 4,
            "global_load": loads,
            "shared_load": shared,
            "global_store": warps,
            "barrier": 0 if tile is None else 2 * warps * steps // tile,
        },
        thread_flops={"fp32": 2 * size**3},
        global_load_requests=loads,
        global_load_sectors=loads * (3 if tile is None else 4),
        global_load_bytes=128 * loads,
        global_store_requests=warps,
        global_store_sectors=4 * warps,
        global_store_bytes=128 * warps,
        unique_read_bytes=8 * size * size,
        unique_written_bytes=4 * size * size,
        shared_requests=shared,
        shared_conflicts=shared * conflicts,
        barriers=0 if tile is None else 2 * warps * steps // tile,
    )


def launch(spec, counters, blocks, threads=256, *, registers=32, shared=0):
    return model_launch(spec, counters, (blocks, 1, 1), (threads, 1, 1), registers, shared, 0)


def copy_time(spec, elements, width=1, stride=1, threads=256):
    return launch(spec, copy(elements, width, stride), elements // (threads * width), threads).microseconds


@pytest.mark.parametrize("spec", CARDS, ids=lambda spec: spec.name)
class TestKnownOrders:
    def test_coalesced_beats_strided(self, spec):
        times = [copy_time(spec, 1 << 24, stride=stride) for stride in (1, 2, 8, 32)]
        assert times == sorted(times)
        assert times[-1] > 1.5 * times[0]

    def test_vectorised_is_no_slower_than_scalar(self, spec):
        for elements in (1 << 16, 1 << 20, 1 << 24, 1 << 28):
            # A quarter of the blocks spreads a small copy less evenly: equal there, to a thousandth.
            assert copy_time(spec, elements, width=4) <= 1.001 * copy_time(spec, elements, width=1)

    def test_conflict_free_beats_conflicted(self, spec):
        times = [launch(spec, matmul(1024, 16, n), 4096, shared=2048).microseconds for n in (0, 1, 3, 31)]
        assert times == sorted(times)
        assert times[-1] > 4 * times[0]

    def test_enough_blocks_beat_too_few(self, spec):
        counters = copy(1 << 24)
        times = [launch(spec, counters, blocks).microseconds for blocks in (1, 8, spec.sms, 8 * spec.sms)]
        assert times == sorted(times, reverse=True)
        assert times[0] > 10 * times[-1]

    def test_tiled_matrix_product_beats_naive(self, spec):
        for size in (256, 1024, 4096):
            blocks = size * size // 256
            naive, tiled = launch(spec, matmul(size), blocks), launch(spec, matmul(size, 16), blocks, shared=2048)
            assert tiled.microseconds < naive.microseconds

    def test_a_last_round_that_does_not_fill_the_card_costs(self, spec):
        counters = Counters(instructions={"fp32": 10**8})
        full, spilled = (launch(spec, counters, blocks, 1024).microseconds for blocks in (spec.sms, spec.sms + 1))
        assert spilled > 1.9 * full


def test_a_long_copy_reaches_the_dram_ceiling():
    time = launch(H100, copy(1 << 28, width=4), (1 << 28) // 1024)
    reached = 8 * (1 << 28) / (time.microseconds * 1e-6) / (H100.dram_gbps * 1e9)
    assert time.limiter is Limiter.DRAM
    assert 0.8 * DRAM_CEILING < reached < DRAM_CEILING


def test_limiters_name_what_was_made_scarce():
    assert launch(H100, Counters(instructions={"int": 4}), 1, 32).limiter is Limiter.LAUNCH
    assert launch(H100, Counters(instructions={"special": 10**8}), 1056).limiter is Limiter.COMPUTE
    assert launch(H100, matmul(1024, 16, 31), 4096, shared=2048).limiter is Limiter.SHARED
    assert launch(H100, Counters(instructions={"fp32": 10**6}), 1, 32).limiter is Limiter.LATENCY
    assert launch(H100, Counters(atomic_lanes=10**8, atomic_requests=10**4), 1056).limiter is Limiter.ATOMIC
    assert launch(H100, copy(1 << 22), (1 << 22) // 32, 32).limiter is Limiter.DISPATCH


def test_small_blocks_cost_what_giving_them_out_costs():
    """As on an H200: 131,072 blocks of 128 threads took 79 us whatever they did (`docs/benchmarks.md`)."""
    card, elements = device_spec("h200"), 131_072 * 128
    tiny = launch(card, copy(elements), elements // 128, 128)
    assert tiny.breakdown.dispatch == pytest.approx(79, rel=0.01)
    assert launch(card, copy(elements, width=4), elements // 512, 128).microseconds < tiny.microseconds / 2


def test_lanes_that_meet_at_one_address_take_longer():
    def time(contention: int) -> float:
        counters = Counters(atomic_lanes=10**7, atomic_requests=10**6, atomic_contention=contention)
        return launch(H100, counters, 4096).breakdown.atomic

    assert time(32) == pytest.approx(32 * time(1))


def tensor_product(size, kind="tensor_fp16"):
    """Counters of a product of halves in 16x8x16 steps: tiles of 128 by wide loads, one `ldmatrix` to a step."""
    products, moved = size**3 // (16 * 8 * 16), 4 * size**3 // 128
    loads, barriers = moved // 512, size**3 // (128 * 128 * 32) * 8
    return replace(
        matmul(size, 64),
        instructions={
            "int": products, "tensor": products, "shared_load": products, "global_load": loads, "barrier": barriers,
        },
        thread_flops={kind: 2 * size**3},
        global_load_requests=loads,
        global_load_sectors=moved // 32,
        global_load_bytes=moved,
        shared_requests=products,
        barriers=barriers,
    )  # fmt: skip


@pytest.mark.parametrize("spec", CARDS, ids=lambda spec: spec.name)
def test_tensor_cores_beat_ordinary_ones_and_reach_no_more_than_their_peak(spec):
    size, shape = 4096, {"blocks": 4096, "shared": 16384}
    on_cores, ordinary = launch(spec, tensor_product(size), **shape), launch(spec, matmul(size, 64), **shape)
    assert on_cores.microseconds < ordinary.microseconds
    assert on_cores.microseconds > floor_us(spec, 0, 2 * size**3, "float16")
    assert on_cores.breakdown.compute >= 2 * size**3 / (spec.tensor_fp16_tflops * 1e12) * 1e6 * 0.999
    slower = launch(spec, tensor_product(size, "tensor_tf32"), **shape)
    assert slower.breakdown.compute == pytest.approx(2 * on_cores.breakdown.compute, rel=0.02)
    assert launch(spec, tensor_product(size, "tensor_fp64"), **shape).breakdown.compute > slower.breakdown.compute


def test_low_occupancy_costs_bandwidth():
    counters = copy(1 << 26)
    full, starved = launch(H100, counters, 1 << 18), launch(H100, counters, 1 << 18, registers=255)
    assert starved.occupancy < full.occupancy
    assert starved.microseconds > full.microseconds


def test_faster_memory_is_faster():
    times = {spec.name: copy_time(spec, 1 << 26) for spec in CARDS}
    assert times["h100"] < times["a100"] < times["rtx4090"] < times["l4"]


AMOUNTS = st.integers(0, 10**9)
COUNTERS = st.builds(
    Counters,
    instructions=st.dictionaries(st.sampled_from(["fp32", "int", "special", "global_load", "barrier"]), AMOUNTS),
    global_load_requests=AMOUNTS,
    global_load_sectors=AMOUNTS,
    global_store_requests=AMOUNTS,
    global_store_sectors=AMOUNTS,
    unique_read_bytes=AMOUNTS,
    unique_written_bytes=AMOUNTS,
    shared_requests=AMOUNTS,
    shared_conflicts=AMOUNTS,
    local_bytes=AMOUNTS,
    atomic_requests=AMOUNTS,
    atomic_lanes=AMOUNTS,
    barriers=AMOUNTS,
)


@given(
    counters=COUNTERS,
    blocks=st.integers(1, 10**6),
    threads=st.integers(1, 1024),
    more=st.sampled_from(
        [
            "shared_requests",
            "shared_conflicts",
            "local_bytes",
            "atomic_requests",
            "atomic_lanes",
            "barriers",
            "unique_written_bytes",
        ]
    ),
    amount=AMOUNTS,
)
def test_more_of_anything_never_costs_less(counters, blocks, threads, more, amount):
    grown = replace(counters, **{more: getattr(counters, more) + amount})
    least, most = (launch(H100, one, blocks, threads).microseconds for one in (counters, grown))
    assert least <= most * (1 + 1e-9)


@given(counters=COUNTERS, name=st.sampled_from(["fp32", "int", "special", "shuffle", "other"]), amount=AMOUNTS)
def test_more_instructions_never_cost_less(counters, name, amount):
    grown = replace(counters, instructions=counters.instructions | {name: counters.instructions.get(name, 0) + amount})
    assert launch(H100, counters, 1000).microseconds <= launch(H100, grown, 1000).microseconds * (1 + 1e-9)


@given(elements=st.integers(10, 24), doublings=st.integers(1, 4), stride=st.sampled_from([1, 4, 32]))
def test_a_larger_copy_never_costs_less(elements, doublings, stride):
    assert copy_time(H100, 1 << elements, stride=stride) <= copy_time(H100, 1 << (elements + doublings), stride=stride)


@given(counters=COUNTERS, blocks=st.integers(1, 10**6))
def test_a_launch_takes_at_least_its_parts_and_at_most_their_sum(counters, blocks):
    modelled = launch(H100, counters, blocks)
    parts = [
        getattr(modelled.breakdown, name)
        for name in ("dram", "l2", "load_store", "compute", "shared", "atomic", "latency", "dispatch")
    ]
    assert modelled.breakdown.launch + max(parts) <= modelled.microseconds * (1 + 1e-9)
    assert modelled.microseconds <= (modelled.breakdown.launch + sum(parts)) * (1 + 1e-9)


def test_an_impossible_launch_is_refused():
    with pytest.raises(ValueError, match="empty launch"):
        launch(H100, Counters(), 0)
    with pytest.raises(ValueError, match="does not fit: registers"):
        launch(H100, Counters(), 1, 1024, registers=128)


def test_the_floor_is_below_every_modelled_time():
    for elements in (1 << 16, 1 << 20, 1 << 26):
        assert floor_us(H100, 8 * elements, elements, "float32") < copy_time(H100, elements)
    for size in (256, 1024):
        blocks = size * size // 256
        time = launch(H100, matmul(size, 16), blocks, shared=2048).microseconds
        assert floor_us(H100, 12 * size * size, 2 * size**3, "float32") < time


def test_the_floor_follows_the_type_and_the_memory():
    assert floor_us(H100, 0, 1e12, "float16") == pytest.approx(1e12 / 989.4e12 * 1e6)
    assert floor_us(H100, 0, 1e12, "float64") == pytest.approx(1e12 / 66.9e12 * 1e6, rel=1e-3)
    assert floor_us(H100, 0, 1e12, "int32") > floor_us(H100, 0, 1e12, "float32")
    beyond = floor_us(H100, H100.l2_bytes + 3.35e9, 0, "float32") - floor_us(H100, H100.l2_bytes, 0, "float32")
    assert beyond == pytest.approx(1000.0)
    with pytest.raises(ValueError, match="no arithmetic rate for 'complex64'"):
        floor_us(H100, 1, 1, "complex64")


def test_the_roofline_is_bytes_over_bandwidth_or_operations_over_rate():
    assert roofline_us(H100, H100.dram_gbps * 1e3, 0, "float32") == pytest.approx(1.0)
    peak = 2 * H100.fp32_per_clock * H100.sms * H100.clock_hz
    assert roofline_us(H100, 1, peak, "float32") == pytest.approx(1e6)
    for dtype in ("float32", "float16", "int32"):
        assert roofline_us(H100, 1e9, 1e9, dtype) >= floor_us(H100, 1e9, 1e9, dtype)
