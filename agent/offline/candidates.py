"""The schedules worth trying for a program, best guess first, from the sizes that are timed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from agent.offline.emit import Program
from agent.offline.graph import Size, product
from agent.offline.schedules import (
    MatmulSchedule,
    PointwiseSchedule,
    RowSchedule,
    Schedule,
    SerialSchedule,
    WholeSchedule,
)
from agent.offline.stages import Stage, StageKind
from agent.offline.terms import TermKind, stride_of

Schedules = tuple[Schedule, ...]
_WARP = 32
_REGISTERS = 65536
"""Of one multiprocessor."""
_HIDING_WARPS = 16
"""Warps with independent arithmetic that keep a multiprocessor busy."""
_LONGEST_CACHED = 16384
"""Elements of a row that the registers of one block hold."""


@dataclass(frozen=True, slots=True)
class Target:
    """What schedules are chosen for."""

    benchmarks: tuple[int, ...]
    """Traced sets of sizes that are timed, the one with the most data first."""
    multiprocessors: int
    """Of the device."""


@dataclass(frozen=True, slots=True)
class Extent:
    """A stage's sizes at the benchmark."""

    rows: int
    columns: int
    batches: int


def extent_of(stage: Stage, traced: int) -> Extent:
    """Return a stage's sizes at one traced set."""

    def at(sizes: tuple[Size, ...]) -> int:
        return product(sizes, len(sizes[0].values)).values[traced] if sizes else 1

    rows, columns, batch = (tuple(d.extent for d in group) for group in (stage.rows, stage.columns, stage.batch))
    return Extent(at(rows), at(columns), at(batch))


def ranked(program: Program, target: Target, limit: int = 64) -> list[Schedules]:
    """Return distinct schedules of the whole program, best guess first.

    The first takes every stage's best guess; the next vary one stage at a time, the costliest stage first.
    """
    options = [list(stage_options(stage, target)) for stage in program.stages]
    order = sorted(range(len(options)), key=lambda i: -_weight(program.stages[i], target.benchmarks[0]))
    best = tuple(option[0] for option in options)
    result = [best]
    for rank in range(1, max(len(option) for option in options)):
        for stage in order:
            if rank < len(options[stage]):
                varied = list(best)
                varied[stage] = options[stage][rank]
                result.append(tuple(varied))
    return list(islice(dict.fromkeys(result), limit))


def _weight(stage: Stage, traced: int) -> int:
    extent = extent_of(stage, traced)
    inner = stage.product.inner if stage.product is not None else ()
    depth = product(tuple(d.extent for d in inner), len(inner[0].extent.values)).values[traced] if inner else 1
    return extent.rows * extent.columns * extent.batches * depth


def stage_options(stage: Stage, target: Target) -> Iterator[Schedule]:
    """Yield one stage's schedules, best guess first."""
    extent = extent_of(stage, target.benchmarks[0])
    match stage.kind:
        case StageKind.POINTWISE:
            yield from _pointwise(extent)
        case StageKind.WHOLE:
            yield from _whole(extent, target)
        case StageKind.MATMUL:
            yield from _matmul(extent, target)
        case StageKind.ROW:
            yield from _row(_columns(stage, target)) if _lies_along_row(stage) else _serial()


def is_useful(stage: Stage, schedule: Schedule, target: Target) -> bool:
    """Whether a schedule's settings all matter at the sizes that are timed."""
    if not isinstance(schedule, RowSchedule):
        return True
    columns = _columns(stage, target)
    longer = max(columns) > schedule.capacity
    cached = schedule.items == 0 or any(n <= schedule.capacity < max(4 * n, 2 * _WARP) for n in columns)
    return cached and (longer or schedule.shared == 0)


def _columns(stage: Stage, target: Target) -> tuple[int, ...]:
    """Return the row lengths that are timed, the one with the most data first."""
    return tuple(dict.fromkeys(extent_of(stage, traced).columns for traced in target.benchmarks))


def _lies_along_row(stage: Stage) -> bool:
    """Whether some tensor that is walked along the row has its elements side by side."""
    inner = {digit.name for digit in stage.columns}
    strides = [
        stride
        for term in stage.terms
        if term.kind is TermKind.LOAD
        for name in inner
        if (stride := stride_of(term.steps, name))
    ]
    return any(stride.is_one for stride in strides) or not strides


def _pointwise(extent: Extent) -> Iterator[Schedule]:
    vector = 4 if extent.columns % 4 == 0 else 1
    for items, block in ((2, 256), (1, 256), (4, 256), (1, 512), (2, 128), (1, 1024)):
        yield PointwiseSchedule(block=block, vector=vector, items=items)
    yield PointwiseSchedule(block=256, vector=2, items=2)


def _whole(extent: Extent, target: Target) -> Iterator[Schedule]:
    blocks = 256 if target.multiprocessors < 100 else 512  # noqa: PLR2004 -- about four blocks for each multiprocessor
    small = extent.columns <= 1 << 16
    yield WholeSchedule(block=1024 if small else 512, blocks=128 if small else blocks)
    for block in (256, 512, 1024):
        for most in (1024, 512, 256, 128):
            yield WholeSchedule(block=block, blocks=most)


def _serial() -> Iterator[Schedule]:
    for block, unroll in ((128, 8), (256, 4), (256, 8), (64, 8), (128, 4), (512, 4)):
        yield SerialSchedule(block=block, unroll=unroll)


def _matmul(extent: Extent, target: Target) -> Iterator[Schedule]:
    tiles = (
        MatmulSchedule(128, 128, 8, 8, 8, 4, 2),
        MatmulSchedule(128, 128, 16, 8, 8, 4, 2),
        MatmulSchedule(128, 64, 8, 8, 4, 4, 2),
        MatmulSchedule(64, 128, 8, 4, 8, 4, 2),
        MatmulSchedule(64, 64, 8, 4, 4, 4, 2),
        MatmulSchedule(64, 64, 16, 4, 4, 4, 2),
        MatmulSchedule(64, 32, 16, 4, 4, 4, 2),
        MatmulSchedule(32, 32, 32, 4, 4, 4, 2),
        MatmulSchedule(128, 128, 8, 8, 8, 4, 1),
        MatmulSchedule(64, 64, 8, 4, 4, 4, 1),
    )
    legal = [tile for tile in tiles if tile.is_legal()]
    yield from sorted(legal, key=lambda tile: _tile_cost(tile, extent, target))


def _tile_cost(tile: MatmulSchedule, extent: Extent, target: Target) -> float:
    """Rough time of a tile: the busiest multiprocessor's arithmetic, longer where too few warps hide its latency."""
    blocks = -(-extent.rows // tile.tile_m) * -(-extent.columns // tile.tile_n) * extent.batches
    share = -(-blocks // target.multiprocessors)
    registers = 24 + tile.thread_m * tile.thread_n + 4 * (tile.thread_m + tile.thread_n)
    resident = max(1, _REGISTERS // (registers * tile.block))
    warps = min(share, resident) * tile.block / _WARP
    shared_reads = 1.0 + 1.0 / tile.thread_m + 1.0 / tile.thread_n
    traffic = 1.0 + 8.0 / tile.tile_m + 8.0 / tile.tile_n
    return share * tile.tile_m * tile.tile_n * shared_reads * traffic * max(1.0, _HIDING_WARPS / warps)


def _row(columns: tuple[int, ...]) -> Iterator[Schedule]:
    """Best guesses for rows of several lengths: registers for the short ones, shared memory for the others."""
    vector = 4 if columns[0] % 4 == 0 else 1
    cached = [n for n in columns if n <= _LONGEST_CACHED]
    long = any(n > _LONGEST_CACHED for n in columns)
    guesses: list[RowSchedule] = []
    for guess in _cached_guesses(max(cached), vector) if cached else ():
        guesses += _with_long_rows(guess) if long else [guess]
    guesses += _uncached_guesses(vector)
    legal = (guess for guess in dict.fromkeys(guesses) if guess.is_legal())
    yield from legal


def _with_long_rows(schedule: RowSchedule) -> list[RowSchedule]:
    return [replace(schedule, stream=stream, shared=shared) for stream, shared in ((1024, 1), (1024, 0), (512, 1))]


def _uncached_guesses(vector: int) -> list[RowSchedule]:
    ways = ((1024, 1), (1024, 0), (512, 1), (512, 0), (256, 0))
    return [RowSchedule(_WARP, 1, vector, 0, stream, shared) for stream, shared in ways]


def _cached_guesses(columns: int, vector: int) -> Iterator[RowSchedule]:
    if columns <= _WARP * vector:
        group = next((size for size in (8, 16, 32) if size * vector >= columns), _WARP)
        yield from _fitting(columns, vector, group, 256 // group)
    if columns <= 1024:  # noqa: PLR2004 -- 32 values for each lane of a warp
        yield from _fitting(columns, vector, _WARP, 4)
        yield from _fitting(columns, vector, _WARP, 8)
    for values in (16, 8, 32, 4):
        group = next((size for size in (64, 128, 256, 512, 1024) if size * values >= columns), 1024)
        yield from _fitting(columns, vector, group, 1)
    yield from _fitting(columns, vector, _WARP, 1)
    yield from _fitting(columns, 2, 256, 1)


def _fitting(columns: int, vector: int, group: int, rows: int) -> Iterator[RowSchedule]:
    """Yield the schedule with just enough registers for a row, if there is one."""
    for items in (1, 2, 4, 8, 16):
        if group * vector * items >= columns:
            yield RowSchedule(group=group, rows=min(rows, 16), vector=vector, items=items)
            return


def same_kinds(schedules: Sequence[Schedule], program: Program, target: Target) -> bool:
    """Whether schedules read from a header fit the program's stages."""
    if len(schedules) != len(program.stages):
        return False
    best = ranked(program, target, 1)[0]
    return all(type(one) is type(other) for one, other in zip(schedules, best, strict=True))
