"""The memory that compiled code and Python share: one worker's state, by byte offsets."""

from __future__ import annotations

import ctypes

MAX_WARPS = 32
BARRIERS = 16
SHARED_WINDOW = 1 << 60
"""Generic addresses of shared memory begin here; no host mapping can lie so high."""
LOCAL_WINDOW = 2 << 60
PRINT_BUFFER = 1 << 20
"""Bytes for the output of `printf` in one launch and worker, the size of a real card's buffer."""
PRINT_RECORD = 256
"""Bytes of one printed record: the format's address and the arguments."""
FUEL = 20_000
"""Warp instructions between two looks at the budget and the other warps."""
SPIN_FUEL = 500
"""The same in a loop that waits for another thread."""
SPINNING, AT_BARRIER = 1, 2
"""Why a warp gave way, other than for having left or worked for long: `Worker.gave_way`."""
IDLE_ROUNDS = 100
"""Rounds in which all blocks that the card holds only wait, after which they are taken to wait for one that is not
among them."""
IDLE_ROUNDS_OF_ALL = 20_000
"""The same where every block has begun: loops that give up after a while must have the time to."""

POISON = 0xFFCB7FD5
"""The word that unwritten memory holds: not a number as float, half, bfloat16 or double."""
EPOCH_STEP = 128
"""Codes of one epoch in a tag of shared memory's shadow."""
LAST_EPOCH = 0xFFFF - 2 * EPOCH_STEP
UNWRITTEN_TAG = 1
"""Tag of a cell of shared memory that holds what was stored there, but is itself unwritten: below every epoch."""
READ_LOG = 1 << 15
"""Reads of unwritten memory, lane by lane, of which a worker remembers the place, a power of two."""
PENDING_COPY = 0xFFFF
"""Tag of a cell of shared memory into which a copy is under way."""
COPIES = 256
"""Copies under way that are remembered for each warp, a power of two; the oldest beyond them count as done."""
COPY_ENTRY_BYTES = 144
COPY_RING_BYTES = 16 + COPIES * COPY_ENTRY_BYTES
PAGE_BITS = 16
"""Base-two logarithm of the bytes of global memory for which one byte tells whether the launch has written there."""
MANY_SYNC = 64
MANY_READERS = 96


class Warp(ctypes.Structure):
    """One warp of the block that runs. `state`: 0 ready, 1 waits at `barrier`, 2 has left."""

    _fields_ = [
        ("stack", ctypes.c_uint64),
        ("budget", ctypes.c_int64),
        ("state", ctypes.c_int32),
        ("barrier", ctypes.c_int32),
        ("site", ctypes.c_int32),
        ("result", ctypes.c_int32),
    ]


class Barrier(ctypes.Structure):
    """A block's barrier: how many threads arrived, how many it waits for (0: all), votes of `bar.red`."""

    _fields_ = [
        ("arrived", ctypes.c_int32),
        ("expected", ctypes.c_int32),
        ("count", ctypes.c_int32),
        ("all", ctypes.c_int32),
        ("any", ctypes.c_int32),
        ("warps", ctypes.c_int32),
    ]


class LoggedRead(ctypes.Structure):
    """One lane's read of memory that nothing has written: its address as it gave it, a generic one in shared memory."""

    _fields_ = [
        ("site", ctypes.c_int32),
        ("thread", ctypes.c_int32),
        ("address", ctypes.c_uint64),
    ]


class Worker(ctypes.Structure):
    """One operating-system thread's execution state; the runtime's IR reaches fields by their offsets."""

    _fields_ = [
        ("before", ctypes.c_uint8 * 128),  # so that two workers share no cache line
        ("main_stack", ctypes.c_uint64),
        ("entry", ctypes.c_uint64),
        ("params", ctypes.c_uint64),
        ("block_list", ctypes.c_uint64),
        ("next_block", ctypes.c_uint64),
        ("blocks", ctypes.c_uint64),
        ("warp_order", ctypes.c_uint64),
        ("abort", ctypes.c_uint64),
        ("further", ctypes.c_uint64),
        ("ring", ctypes.c_uint64),
        ("idle", ctypes.c_uint64),
        ("stacks", ctypes.c_uint64),
        ("stack_size", ctypes.c_uint64),
        ("table", ctypes.c_uint64),
        ("table_size", ctypes.c_uint64),
        ("globals", ctypes.c_uint64),
        ("cache", ctypes.c_uint64),
        ("shared", ctypes.c_uint64),
        ("shared_size", ctypes.c_uint64),
        ("local", ctypes.c_uint64),
        ("local_size", ctypes.c_uint64),
        ("budget", ctypes.c_int64),
        ("block_counts", ctypes.c_uint64),
        ("events", ctypes.c_uint64),
        ("read_map", ctypes.c_uint64),
        ("write_map", ctypes.c_uint64),
        ("map_sectors", ctypes.c_uint64),
        ("line_maps", ctypes.c_uint64),
        ("arena", ctypes.c_uint64),
        ("blocks_run", ctypes.c_uint64),
        ("print_buffer", ctypes.c_uint64),
        ("print_size", ctypes.c_uint64),
        ("print_used", ctypes.c_uint64),
        ("fault_address", ctypes.c_uint64),
        ("fault_kind", ctypes.c_int32),
        ("fault_site", ctypes.c_int32),
        ("fault_thread", ctypes.c_int32),
        ("fault_block", ctypes.c_int32 * 3),
        ("grid", ctypes.c_int32 * 3),
        ("block", ctypes.c_int32 * 3),
        ("ctaid", ctypes.c_int32 * 3),
        ("warps", ctypes.c_int32),
        ("threads", ctypes.c_int32),
        ("suspends", ctypes.c_int32),
        ("current", ctypes.c_int32),
        ("live", ctypes.c_int32),
        ("dynamic_shared", ctypes.c_int32),
        ("holds_block", ctypes.c_int32),
        ("gave_way", ctypes.c_int32),
        ("moved", ctypes.c_int32),
        ("host_thread", ctypes.c_int32),
        ("host_threads", ctypes.c_int32),
        ("sampled", ctypes.c_int32),
        ("local_fill", ctypes.c_uint64),
        ("fault_other", ctypes.c_int32),
        ("unwritten", ctypes.c_int32),
        ("unwritten_site", ctypes.c_int32),
        ("unwritten_thread", ctypes.c_int32),
        ("unwritten_reads", ctypes.c_uint64),
        ("reads", ctypes.c_uint64),
        ("read_log", ctypes.c_uint64),
        ("fault_other_reads", ctypes.c_int32),
        ("epoch", ctypes.c_int32),
        ("first_epoch", ctypes.c_int32),
        ("tag", ctypes.c_int32),
        ("shadow_writers", ctypes.c_uint64),
        ("shadow_readers", ctypes.c_uint64),
        ("shadow_cells", ctypes.c_uint64),
        ("copies", ctypes.c_uint64),
        ("shadow_shift", ctypes.c_int32),
        ("arena_span", ctypes.c_uint64),
        ("tags", ctypes.c_uint64),
        ("pages", ctypes.c_uint64),
        ("page_count", ctypes.c_uint64),
        ("site_marks", ctypes.c_uint64),
        ("last_stamp", ctypes.c_uint64),
        ("published", ctypes.c_uint64),
        ("owners", ctypes.c_uint64),
        ("stamp_base", ctypes.c_int32),
        ("stamp_later", ctypes.c_int32),
        ("stamp_limit", ctypes.c_int32),
        ("tag_shift", ctypes.c_int32),
        ("stamp", ctypes.c_int32),
        ("stamp_used", ctypes.c_int32),
        ("seen", ctypes.c_int32),
        ("block_number", ctypes.c_int32),
        ("fault_other_published", ctypes.c_int32),
        ("reserved", ctypes.c_uint64),
        ("reserved_bytes", ctypes.c_uint64),
        ("warp", Warp * MAX_WARPS),
        ("barrier", Barrier * BARRIERS),
        ("behind", ctypes.c_uint8 * 128),
    ]


FAULT_OUT_OF_BOUNDS, FAULT_MISALIGNED, FAULT_DIVERGENT, FAULT_DEADLOCK, FAULT_RUNAWAY, FAULT_TRAP = range(1, 7)
FAULT_RACE_SHARED, FAULT_UNINITIALISED, FAULT_RACE_GLOBAL, FAULT_RACE_COPY, FAULT_STARVED = range(7, 12)

EVENT_FIELDS = (
    "load_requests",
    "load_sectors",
    "load_bytes",
    "store_requests",
    "store_sectors",
    "store_bytes",
    "shared_requests",
    "shared_conflicts",
    "local_bytes",
    "atomic_requests",
    "atomic_lanes",
    "divergent_branches",
    "atomic_contention",
)
"""The counters that compiled code adds to at each site, in the order of a row of `Worker.events`."""
LARGEST_EVENTS = frozenset({"atomic_contention"})
"""Those that hold the largest number seen, not a sum."""


def offset(field: str) -> int:
    """Return a worker field's byte offset."""
    return int(getattr(Worker, field).offset)


def placeholders() -> dict[str, str]:
    """Return the names that the runtime's IR template uses, with their numbers."""
    names = {f"w_{name}": str(getattr(Worker, name).offset) for name, *_ in Worker._fields_}
    names |= {f"p_{name}": str(getattr(Warp, name).offset) for name, *_ in Warp._fields_}
    names |= {f"b_{name}": str(getattr(Barrier, name).offset) for name, *_ in Barrier._fields_}
    return names | {
        "warp_bytes": str(ctypes.sizeof(Warp)),
        "barrier_bytes": str(ctypes.sizeof(Barrier)),
        "barriers": str(BARRIERS),
        "event_bytes": str(8 * len(EVENT_FIELDS)),
        "fuel": str(FUEL),
        "spin_fuel": str(SPIN_FUEL),
        "idle_rounds": str(IDLE_ROUNDS),
        "spinning": str(SPINNING),
        "at_barrier": str(AT_BARRIER),
        "idle_rounds_of_all": str(IDLE_ROUNDS_OF_ALL),
        "fault_starved": str(FAULT_STARVED),
        "poison": str(POISON),
        "epoch_step": str(EPOCH_STEP),
        "last_epoch": str(LAST_EPOCH),
        "many_sync": str(MANY_SYNC),
        "many_readers": str(MANY_READERS),
        "fault_race_shared": str(FAULT_RACE_SHARED),
        "fault_race_global": str(FAULT_RACE_GLOBAL),
        "fault_race_copy": str(FAULT_RACE_COPY),
        "pending_copy": str(PENDING_COPY),
        "copy_last": str(COPIES - 1),
        "copy_entry_bytes": str(COPY_ENTRY_BYTES),
        "copy_ring_bytes": str(COPY_RING_BYTES),
        "page_bits": str(PAGE_BITS),
        "page_bytes": str(1 << PAGE_BITS),
        "fault_uninitialised": str(FAULT_UNINITIALISED),
        "unwritten_tag": str(UNWRITTEN_TAG),
        "read_log_last": str(READ_LOG - 1),
        "read_bytes": str(ctypes.sizeof(LoggedRead)),
        "print_record": str(PRINT_RECORD),
        "print_arguments": str(PRINT_RECORD - 8),
        "shared_base": str(SHARED_WINDOW),
        "shared_window": str(SHARED_WINDOW >> 56),
        "local_window": str(LOCAL_WINDOW >> 56),
    }
