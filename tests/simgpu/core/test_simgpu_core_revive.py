"""Freed memory can be had again by its size, as from an allocator that keeps a cache."""

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
