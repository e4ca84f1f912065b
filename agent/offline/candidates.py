"""The schedules worth trying for a program, best guess first, from the sizes that are timed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
_LONGEST_CACHED = 16384
"""Elements of a row that the registers of one block hold."""


@dataclass(frozen=True, slots=True)
class Target:
    """What schedules are chosen for."""

    typical: int
    """Traced set of sizes that stands for the benchmark."""
    multiprocessors: int
    """Of the device."""


@dataclass(frozen=True, slots=True)
class Extent:
    """A stage's sizes at the benchmark."""

    rows: int
    columns: int
    batches: int


def extent_of(stage: Stage, typical: int) -> Extent:
    """Return a stage's sizes at one traced set."""

    def at(sizes: tuple[Size, ...]) -> int:
        return product(sizes, len(sizes[0].values)).values[typical] if sizes else 1

    rows, columns, batch = (tuple(d.extent for d in group) for group in (stage.rows, stage.columns, stage.batch))
    return Extent(at(rows), at(columns), at(batch))


def ranked(program: Program, target: Target, limit: int = 64) -> list[Schedules]:
    """Return distinct schedules of the whole program, best guess first.

    The first takes every stage's best guess; the next vary one stage at a time, the costliest stage first.
    """
    options = [list(stage_options(stage, target)) for stage in program.stages]
    order = sorted(range(len(options)), key=lambda i: -_weight(program.stages[i], target.typical))
    best = tuple(option[0] for option in options)
    result = [best]
    for rank in range(1, max(len(option) for option in options)):
        for stage in order:
            if rank < len(options[stage]):
                varied = list(best)
                varied[stage] = options[stage][rank]
                result.append(tuple(varied))
    return list(islice(dict.fromkeys(result), limit))


def _weight(stage: Stage, typical: int) -> int:
    extent = extent_of(stage, typical)
    inner = stage.product.inner if stage.product is not None else ()
    depth = product(tuple(d.extent for d in inner), len(inner[0].extent.values)).values[typical] if inner else 1
    return extent.rows * extent.columns * extent.batches * depth


def stage_options(stage: Stage, target: Target) -> Iterator[Schedule]:
    """Yield one stage's schedules, best guess first."""
    extent = extent_of(stage, target.typical)
    match stage.kind:
        case StageKind.POINTWISE:
            yield from _pointwise(extent)
        case StageKind.WHOLE:
            yield from _whole(extent, target)
        case StageKind.MATMUL:
            yield from _matmul(extent, target)
        case StageKind.ROW:
            yield from _row(extent) if _lies_along_row(stage) else _serial()


def is_useful(stage: Stage, schedule: Schedule, typical: int) -> bool:
    """Whether a schedule's settings all matter at the benchmark's sizes."""
    columns = extent_of(stage, typical).columns
    if not isinstance(schedule, RowSchedule) or schedule.items == 0:
        return True
    return columns <= schedule.capacity < max(4 * columns, 2 * _WARP)


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
        MatmulSchedule(128, 128, 16, 8, 8, 4, 2),
        MatmulSchedule(128, 64, 16, 8, 4, 4, 2),
        MatmulSchedule(64, 64, 16, 4, 4, 4, 2),
        MatmulSchedule(128, 128, 8, 8, 8, 4, 2),
        MatmulSchedule(64, 128, 16, 4, 8, 4, 2),
        MatmulSchedule(32, 32, 32, 4, 4, 4, 2),
        MatmulSchedule(128, 128, 16, 8, 8, 4, 1),
        MatmulSchedule(64, 64, 16, 8, 8, 4, 2),
    )
    legal = [tile for tile in tiles if tile.is_legal()]
    yield from sorted(legal, key=lambda tile: _waves(tile, extent, target))


def _waves(tile: MatmulSchedule, extent: Extent, target: Target) -> float:
    """Rough cost of a tile: rounds of blocks over the device, times the arithmetic and the traffic of one."""
    blocks = -(-extent.rows // tile.tile_m) * -(-extent.columns // tile.tile_n) * extent.batches
    rounds = -(-blocks // target.multiprocessors)
    work = tile.tile_m * tile.tile_n
    traffic = 12 * (tile.tile_m + tile.tile_n)
    micro = 1.0 + 4.0 / tile.thread_m + 4.0 / tile.thread_n
    return rounds * (work + traffic) * micro


def _row(extent: Extent) -> Iterator[Schedule]:
    seen: set[Schedule] = set()
    vector = 4 if extent.columns % 4 == 0 else 1
    for schedule in _row_guesses(extent.columns, vector):
        if schedule is not None and schedule not in seen and schedule.is_legal():
            seen.add(schedule)
            yield schedule


def _row_guesses(columns: int, vector: int) -> Iterator[RowSchedule | None]:
    if columns <= _WARP * vector:
        group = next((size for size in (8, 16, 32) if size * vector >= columns), _WARP)
        yield _fitting(columns, vector, group, 256 // group)
    if columns <= 1024:  # noqa: PLR2004 -- 32 values for each lane of a warp
        yield _fitting(columns, vector, _WARP, 4)
        yield _fitting(columns, vector, _WARP, 8)
    per_thread = (16, 8, 32, 4)
    for values in per_thread:
        group = next((size for size in (64, 128, 256, 512, 1024) if size * values >= columns), 1024)
        yield _fitting(columns, vector, group, 1)
    for stream in (1024, 512, 256):
        yield RowSchedule(group=_WARP, rows=1, vector=vector, items=0, stream=stream)
    yield _fitting(columns, vector, _WARP, 1)
    yield _fitting(columns, 2, 256, 1)


def _fitting(columns: int, vector: int, group: int, rows: int) -> RowSchedule | None:
    """Return the schedule with just enough registers for a row, None when there is none."""
    if columns > _LONGEST_CACHED:
        return None
    for items in (1, 2, 4, 8, 16):
        if group * vector * items >= columns:
            rows = min(rows, 16)
            return RowSchedule(group=group, rows=rows, vector=vector, items=items, stream=512)
    return None


def same_kinds(schedules: Sequence[Schedule], program: Program, target: Target) -> bool:
    """Whether schedules read from a header fit the program's stages."""
    if len(schedules) != len(program.stages):
        return False
    best = ranked(program, target, 1)[0]
    return all(type(one) is type(other) for one, other in zip(schedules, best, strict=True))
