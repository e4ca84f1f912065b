"""Which line is named as the one that loses most, and which are kept when there are many."""

import numpy as np

from simgpu.hotspots import HotspotKind, costliest, find_hotspots
from simgpu.report import LineCounters


def line(number, **counts):
    full = {"instructions": 10, "thread_instructions": 320}
    return LineCounters("k.cu", number, **(full | counts))


def found(*lines):
    return {spot.kind: spot.line for spot in find_hotspots(lines)}


def test_lines_that_lose_nothing_are_not_named():
    fine = line(1, global_requests=10, global_sectors=40, global_bytes=1280)
    broadcast = line(2, global_requests=10, global_sectors=10, global_bytes=1280)
    padded = line(3, shared_requests=100, shared_conflicts=0)
    spread = line(4, atomic_requests=10, atomic_lanes=320, atomic_contention=2)
    assert find_hotspots((fine, broadcast, padded, spread)) == ()


def test_the_line_that_loses_most_is_named_not_the_one_with_the_worst_ratio():
    rare = line(1, global_requests=1, global_sectors=32, global_bytes=128)
    hot = line(2, global_requests=1000, global_sectors=8000, global_bytes=128_000)
    assert found(rare, hot) == {HotspotKind.UNCOALESCED: 2}
    (spot,) = find_hotspots((rare, hot))
    assert spot.message == "8.0 sectors per global request where 4.0 hold the bytes"


def test_each_kind_of_loss_names_its_own_line():
    lines = (
        line(1, shared_requests=10, shared_conflicts=310),
        line(2, thread_instructions=80),
        line(3, atomic_requests=4, atomic_lanes=128, atomic_contention=32),
    )
    assert found(*lines) == {
        HotspotKind.BANK_CONFLICTS: 1,
        HotspotKind.DIVERGENCE: 2,
        HotspotKind.ATOMIC_CONTENTION: 3,
    }


def test_costliest_lines_keep_the_order_of_the_source():
    lines = [line(number, instructions=number, thread_instructions=32 * number) for number in range(1, 30)]
    wasteful = line(0, instructions=1, thread_instructions=32, global_requests=9, global_sectors=288, global_bytes=36)
    kept = [one.line for one in costliest([*lines, wasteful], 4)]
    assert kept == [0, 27, 28, 29]
    assert costliest((), 4) == ()


def test_a_column_access_is_found_in_a_kernel(card, compile_cuda):
    source = r"""
extern "C" __global__ void turn(const float* x, float* y) {
  float v = x[threadIdx.y * 32 + threadIdx.x];
  y[threadIdx.x * 32 + threadIdx.y] = v;
}"""
    x, y = card.put(np.ones(1024, np.float32)), card.put(np.zeros(1024, np.float32))
    report = card.run(compile_cuda(source), "turn", (1,), (32, 32), x, y, counters=True)
    (spot,) = find_hotspots(report.lines)
    assert (spot.kind, spot.line) == (HotspotKind.UNCOALESCED, 4)
    assert spot.message.startswith("32.0 sectors")
