"""From raw event counts to `Counters`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from math import prod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simgpu.analysis.graph import waits
from simgpu.codegen.program import CountedBlock, Program
from simgpu.memory import DeviceMemory
from simgpu.ptx.syntax import Instruction, Location
from simgpu.report import Counters, LineCounters
from simgpu.runtime import state
from simgpu.specs import SECTOR_BYTES, WARP_SIZE

_SPECIAL = frozenset({"ex2", "lg2", "sin", "cos", "tanh", "rcp", "rsqrt", "sqrt"})
_CONTROL = frozenset({"bra", "brx", "ret", "exit", "call", "trap", "brkpt", "nanosleep"})
_MOVES = frozenset({"mov", "cvta", "selp", "slct"})
_WARP_WIDE = frozenset({"shfl", "vote", "match", "redux", "activemask", "elect"})
_OTHER = frozenset(
    {"bar", "barrier", "membar", "fence", "prefetch", "prefetchu", "pmevent", "isspacep", "setmaxnreg", "createpolicy"}
)
_ARITHMETIC = frozenset({"add", "sub", "mul", "div", "fma", "mad"})
_SHAPE = re.compile(r"m(\d+)n(\d+)k(\d+)")
_TENSOR_KINDS = {
    "f64": "fp64", "tf32": "tf32", "bf16": "fp16", "s8": "int8", "u8": "int8", "s4": "int8", "u4": "int8", "b1": "int8",
    "e4m3": "fp8", "e5m2": "fp8", "f16": "fp16",
}  # fmt: skip
"""By the types in an opcode, the narrowest that names the product first."""
_FLOAT_CLASSES = {"f16": "fp16", "f16x2": "fp16", "bf16": "fp16", "bf16x2": "fp16", "f32": "fp32", "f64": "fp64"}


_LINE_MAP_BYTES = 2 << 30
"""Address space for the maps of all lines."""
_NO_GLOBAL = frozenset({"shared", "shared::cta", "local", "param", "const"})


class CountingWorker(Protocol):
    """A worker's raw counts."""

    block_counts: NDArray[np.int64]
    """Warps and lanes that ran each counted block."""
    events: NDArray[np.int64]
    """A row of `state.EVENT_FIELDS` for each site."""


class Totals:
    """What a counted launch shares between workers: maps with one byte for each sector of memory that was touched.

    One map is of what was read, one of what was written, and each source line has its own unless memory in use and
    lines are so many that their maps would not fit.
    """

    def __init__(self, program: Program, memory: DeviceMemory) -> None:
        self.program = program
        self.base = memory.base
        self._spans = [
            slice((one.address - self.base) // SECTOR_BYTES, -(-(one.end - self.base) // SECTOR_BYTES))
            for one in memory.live()
        ]
        sectors = (memory.top - memory.base) // SECTOR_BYTES + 1
        self.read_map = np.zeros(sectors, np.uint8)
        self.write_map = np.zeros(sectors, np.uint8)
        lines = {place for site in program.sites if (place := _global_line(site.instruction)) is not None}
        kept = lines if sectors * len(lines) <= _LINE_MAP_BYTES else ()
        # Zeroed memory is real only where it is written to.
        self.line_maps = {place: np.zeros(sectors, np.uint8) for place in kept}
        self._site_maps = np.zeros(len(program.sites) + 1, np.uint64)
        for number, site in enumerate(program.sites):
            own = self.line_maps.get(site.instruction.location) if site.instruction.location else None
            self._site_maps[number] = 0 if own is None else own.ctypes.data

    def fill(self, worker: state.Worker) -> None:
        """Tell a worker where the maps are."""
        worker.read_map, worker.write_map = self.read_map.ctypes.data, self.write_map.ctypes.data
        worker.line_maps, worker.map_sectors = self._site_maps.ctypes.data, len(self.read_map)

    def distinct_bytes(self, touched: NDArray[np.uint8], factor: float) -> int:
        """Return the distinct bytes of a map, scaled by `factor` but within each allocation's size."""
        total = 0
        for span in self._spans:
            whole = span.stop - span.start
            total += min(round(int(np.count_nonzero(touched[span])) * factor), whole)
        return total * SECTOR_BYTES


def collect(totals: Totals, workers: Sequence[CountingWorker], *, run: int, grid: int) -> Counters:
    """Sum the workers' counts and scale them from the blocks that ran to the whole grid."""
    counts = np.sum([worker.block_counts for worker in workers], axis=0)
    events = _Events()
    for row in _site_events(workers):
        events.add(row)
    factor = grid / run

    def scaled(name: str) -> int:
        return round(events.sums[name] * factor)

    counters = Counters(
        global_load_requests=scaled("load_requests"),
        global_load_sectors=scaled("load_sectors"),
        global_load_bytes=scaled("load_bytes"),
        global_store_requests=scaled("store_requests"),
        global_store_sectors=scaled("store_sectors"),
        global_store_bytes=scaled("store_bytes"),
        unique_read_bytes=totals.distinct_bytes(totals.read_map, factor),
        unique_written_bytes=totals.distinct_bytes(totals.write_map, factor),
        shared_requests=scaled("shared_requests"),
        shared_conflicts=scaled("shared_conflicts"),
        local_bytes=scaled("local_bytes"),
        atomic_requests=scaled("atomic_requests"),
        atomic_lanes=scaled("atomic_lanes"),
        atomic_contention=events.largest["atomic_contention"],
        divergent_branches=scaled("divergent_branches"),
    )
    _add_instructions(counters, totals.program, counts.tolist(), factor)
    return counters


class _Events:
    """Events of one line, or of a whole launch: sums, and the largest of what is no sum."""

    def __init__(self) -> None:
        self.sums: Counter[str] = Counter()
        self.largest: Counter[str] = Counter()

    def add(self, row: Sequence[int]) -> None:
        """Add one site's events."""
        for name, number in zip(state.EVENT_FIELDS, row, strict=True):
            if name in state.LARGEST_EVENTS:
                self.largest[name] = max(self.largest[name], number)
            else:
                self.sums[name] += number


def _site_events(workers: Sequence[CountingWorker]) -> list[list[int]]:
    """Return each site's events, all workers together."""
    tables = [worker.events for worker in workers]
    total = np.sum(tables, axis=0)
    for place, name in enumerate(state.EVENT_FIELDS):
        if name in state.LARGEST_EVENTS:
            total[:, place] = np.max([table[:, place] for table in tables], axis=0)
    rows: list[list[int]] = total.tolist()
    return rows


def _global_line(instruction: Instruction) -> Location | None:
    """Return the source line of an access that may go to global memory."""
    return None if _NO_GLOBAL.intersection(instruction.modifiers) else instruction.location


class _Line(_Events):
    """What one source line executed."""

    def __init__(self) -> None:
        super().__init__()
        self.classes: Counter[str] = Counter()


def count_lines(totals: Totals, workers: Sequence[CountingWorker], *, run: int, grid: int) -> tuple[LineCounters, ...]:
    """Return what each source line executed; inlined code counts for the line that `.loc` gives it."""
    program = totals.program
    counts = np.sum([worker.block_counts for worker in workers], axis=0).tolist()
    lines: defaultdict[Location, _Line] = defaultdict(_Line)
    for block, (warps, lanes) in zip(program.counted, counts, strict=False):
        for instruction in block.instructions if warps else ():
            if instruction.location is not None:
                line = lines[instruction.location]
                line.classes[instruction_class(instruction)] += warps
                line.sums["thread_instructions"] += lanes
                line.sums["barriers"] += warps * waits(instruction)
    for site, row in zip(program.sites, _site_events(workers), strict=False):
        location = site.instruction.location
        if location is not None and any(row):
            lines[location].add(row)
    factor = grid / run
    order = sorted(lines, key=lambda line: (line.file, line.line))
    return tuple(_line_counters(totals, line, lines[line], factor) for line in order)


def _line_counters(totals: Totals, line: Location, events: _Line, factor: float) -> LineCounters:
    def scaled(*names: str) -> int:
        return round(sum(events.sums[name] for name in names) * factor)

    touched = totals.line_maps.get(line)
    global_memory = scaled("load_requests", "store_requests", "atomic_requests")
    return LineCounters(
        file=line.file,
        line=line.line,
        instructions=round(events.classes.total() * factor),
        classes=tuple((kind, round(count * factor)) for kind, count in sorted(events.classes.items())),
        unique_bytes=totals.distinct_bytes(touched, factor) if touched is not None and global_memory else None,
        thread_instructions=scaled("thread_instructions"),
        global_requests=scaled("load_requests", "store_requests"),
        global_sectors=scaled("load_sectors", "store_sectors"),
        global_bytes=scaled("load_bytes", "store_bytes"),
        shared_requests=scaled("shared_requests"),
        shared_conflicts=scaled("shared_conflicts"),
        local_bytes=scaled("local_bytes"),
        atomic_requests=scaled("atomic_requests"),
        atomic_lanes=scaled("atomic_lanes"),
        atomic_contention=events.largest["atomic_contention"],
        divergent_branches=scaled("divergent_branches"),
        barriers=scaled("barriers"),
    )


def _add_instructions(counters: Counters, program: Program, counts: list[list[int]], factor: float) -> None:
    classes: Counter[str] = Counter()
    flops: Counter[str] = Counter()
    threads = barriers = branches = 0
    for block, (warps, lanes) in zip(program.counted, counts, strict=False):
        if not warps:
            continue
        threads += lanes * len(block.instructions)
        for instruction in block.instructions:
            kind = instruction_class(instruction)
            classes[kind] += warps
            barriers += warps * waits(instruction)
            branches += warps * (instruction.base in {"bra", "brx"})
        for kind, count in block_flops(block).items():
            flops[kind] += lanes * count
    counters.instructions = {kind: round(count * factor) for kind, count in sorted(classes.items())}
    counters.thread_flops = {kind: round(count * factor) for kind, count in sorted(flops.items())}
    counters.thread_instructions = round(threads * factor)
    counters.barriers = round(barriers * factor)
    counters.branches = round(branches * factor)


def block_flops(block: CountedBlock) -> Counter[str]:
    """Count one lane's floating-point operations in a block, by type."""
    found: Counter[str] = Counter()
    for instruction in block.instructions:
        if is_product(instruction):
            found.update(_tensor_operations(instruction))
        elif instruction.base in _SPECIAL:
            found["special"] += 1
        elif instruction.base in _ARITHMETIC and instruction.modifiers[-1] in _FLOAT_CLASSES:
            kind = instruction.modifiers[-1]
            count = (2 if instruction.base in {"fma", "mad"} else 1) * (2 if kind.endswith("x2") else 1)
            found[_FLOAT_CLASSES[kind]] += count
    return found


def is_product(instruction: Instruction) -> bool:
    """Whether an instruction is a tensor-core product."""
    return instruction.base == "mma" or (instruction.base == "wmma" and "mma" in instruction.modifiers)


def _tensor_operations(instruction: Instruction) -> dict[str, int]:
    """Count a tensor-core product's operations, a multiply-add as two, shared among the 32 lanes.

    Half of what a sparse product's shape says is left out by the hardware. Volta's shape is one of four.
    """
    names = instruction.modifiers
    shape = next(found for name in names if (found := _SHAPE.fullmatch(name)))
    kind = next((name for name in _TENSOR_KINDS if name in names), "f16")
    operations = 2 * prod(int(number) for number in shape.groups())
    if names[0].startswith("sp"):
        operations //= 2
    elif "m8n8k4" in names and kind == "f16" and "f64" not in names:
        operations *= 4
    return {f"tensor_{_TENSOR_KINDS[kind]}": operations // WARP_SIZE}


def instruction_class(instruction: Instruction) -> str:
    """Return the class under which `Counters.instructions` counts an instruction."""
    base, modifiers = instruction.base, instruction.modifiers
    if is_product(instruction) or waits(instruction):
        return "tensor" if is_product(instruction) else "barrier"
    for names, kind in (
        (_SPECIAL, "special"),
        (_CONTROL, "control"),
        (_MOVES, "move"),
        (_WARP_WIDE, "shuffle"),
        (_OTHER, "other"),
    ):
        if base in names:
            return kind
    if base == "cvt":
        return "convert"
    if base in {"atom", "red"}:
        return "atomic"
    if base in {"ld", "ldu", "st", "cp", "ldmatrix", "wmma"}:
        return _memory_class(base, modifiers)
    return _FLOAT_CLASSES.get(modifiers[-1], "int") if modifiers else "int"


def _memory_class(base: str, modifiers: tuple[str, ...]) -> str:
    spaces = {modifier.partition("::")[0] for modifier in modifiers}
    action = "store" if base == "st" or "store" in spaces else "load"
    if base == "cp":
        return "global_load"
    if "local" in spaces:
        return "local"
    if "shared" in spaces:
        return f"shared_{action}"
    if spaces & {"param", "const"}:
        return "move"
    return f"global_{action}"
