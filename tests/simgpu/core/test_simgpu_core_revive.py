"""Freed memory can be had again by its size, as from an allocator that keeps a cache; the host has it meanwhile."""

import mmap
from pathlib import Path

import numpy as np

from simgpu import DeviceMemory


def test_the_newest_freed_allocation_of_the_size_comes_back_and_only_once():
    memory = DeviceMemory(1 << 20)
    first, second, other = (memory.allocate(size) for size in (1000, 1000, 500))
    used = memory.used
    for address in (first, second, other):
        memory.free(address)
    assert memory.revive(1000, "again") == second
    assert memory.revive(1000) == first
    assert memory.revive(1000) is None
    assert memory.revive(500) == other
    assert memory.used == used
    assert memory.find(second).label == "again"


def test_live_memory_and_other_sizes_are_not_given_out():
    memory = DeviceMemory(1 << 20)
    memory.allocate(1000)
    memory.free(memory.allocate(999))
    assert memory.revive(1000) is None


def test_capacity_holds():
    memory = DeviceMemory(8192)
    memory.free(memory.allocate(5000))
    memory.allocate(5001)
    assert memory.revive(5000) is None


STORES = """
extern "C" __global__ void fill(int* out, int n) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) out[i] = i;
}"""


def test_a_program_that_frees_what_it_allocates_takes_no_more_of_the_host_with_each_round(card, compile_cuda):
    count = 4 << 20
    resident = []
    for _ in range(6):
        place = card.memory.allocate(4 * count)
        report = card.run(compile_cuda(STORES), "fill", (64,), (256,), place, np.int32(count))
        assert report.ok, report.diagnostics
        assert np.frombuffer(card.memory.view(place, 4 * count), np.int32)[-1] == count - 1
        card.memory.free(place)
        resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE)
    assert resident[-1] - resident[0] < 4 * count


def test_freed_memory_and_its_neighbours_keep_their_places(card):
    size = 3 << 20
    first, second, third = (card.put(np.full(size, value, np.uint8)) for value in (1, 2, 3))
    card.memory.free(second)
    for place, value in ((first, 1), (third, 3)):
        assert (card.get(place, np.zeros(size, np.uint8)) == value).all()
    assert card.memory.find(second).freed
