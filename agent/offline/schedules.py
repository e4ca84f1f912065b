"""The schedules: how a stage is laid out on threads, as frozen values with their legal settings.

A schedule is one point of a small space; `neighbours` are the points one step away and `mix` combines two. The
registers that a setting would need bound the space, so that nothing is proposed that must spill.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import ClassVar

_REGISTER_VALUES = 64
"""Most values that a thread keeps in registers for one cached quantity."""
_BLOCK_VALUES = 160
"""Bound on values per thread times threads / 256 + 1: wider blocks leave each thread fewer registers."""

_UNROLLED_PRODUCTS = 512
"""Multiply-adds of a thread in one step of the unrolled loop; more would not fit the instruction cache well."""


@dataclass(frozen=True, slots=True)
class PointwiseSchedule:
    """Each thread computes `items` vectors of `vector` elements."""

    block: int = 256
    """Threads per block."""
    vector: int = 4
    """Elements per load and store."""
    items: int = 1
    """Vectors per thread."""

    kind: ClassVar[str] = "pointwise"
    choices: ClassVar[dict[str, tuple[int, ...]]] = {
        "block": (128, 256, 512, 1024),
        "vector": (1, 2, 4),
        "items": (1, 2, 4),
    }

    def is_legal(self) -> bool:
        """Whether a kernel can be written for it."""
        return self.vector * self.items <= _REGISTER_VALUES


@dataclass(frozen=True, slots=True)
class RowSchedule:
    """`group` threads walk one row; rows of up to group x vector x items elements stay in registers.

    A longer row stays in shared memory or is read again in every pass (`items` 0: every row is treated so).
    """

    group: int = 32
    """Threads per row: up to 32 they reduce by shuffles alone, beyond through shared memory."""
    rows: int = 4
    """Rows per block; 1 when the group is wider than a warp."""
    vector: int = 4
    """Elements per load and store."""
    items: int = 8
    """Vectors that each thread keeps; 0 keeps none."""
    stream: int = 512
    """Threads per row for longer rows."""
    shared: int = 0
    """1: longer rows stay in shared memory while they fit; 0: they are read again in every pass."""

    kind: ClassVar[str] = "row"
    choices: ClassVar[dict[str, tuple[int, ...]]] = {
        "group": (8, 16, 32, 64, 128, 256, 512, 1024),
        "rows": (1, 2, 4, 8, 16),
        "vector": (1, 2, 4),
        "items": (0, 1, 2, 4, 8, 16),
        "stream": (256, 512, 1024),
        "shared": (0, 1),
    }

    @property
    def block(self) -> int:
        """Threads per block of the cached kernel."""
        return self.group * self.rows

    @property
    def capacity(self) -> int:
        """Longest row that stays in registers."""
        return self.group * self.vector * self.items

    def is_legal(self) -> bool:
        """Whether a kernel can be written for it."""
        wide = self.group > 32  # noqa: PLR2004 -- lanes of a warp
        if self.items == 0:
            return self.group == 32 and self.rows == 1  # noqa: PLR2004 -- one spelling for what the fields no longer say
        return (
            32 <= self.block <= 1024  # noqa: PLR2004 -- a warp, and the most threads of a block
            and (not wide or self.rows == 1)
            and self.vector * self.items * (self.block // 256 + 1) <= _BLOCK_VALUES
            and self.vector * self.items <= _REGISTER_VALUES
        )


@dataclass(frozen=True, slots=True)
class SerialSchedule:
    """Each thread walks one row alone: for rows whose elements lie apart and whose neighbours lie together."""

    block: int = 256
    """Threads per block."""
    unroll: int = 4
    """Elements per loop step, so that their loads are in flight together."""

    kind: ClassVar[str] = "serial"
    choices: ClassVar[dict[str, tuple[int, ...]]] = {"block": (64, 128, 256, 512), "unroll": (1, 4, 8)}

    def is_legal(self) -> bool:
        """Whether a kernel can be written for it."""
        return True


@dataclass(frozen=True, slots=True)
class WholeSchedule:
    """`blocks` blocks reduce parts, one block reduces their results: two launches, the same order every time."""

    block: int = 512
    """Threads per block."""
    vector: int = 4
    """Elements per load."""
    blocks: int = 512
    """Most blocks of the first launch."""

    kind: ClassVar[str] = "whole"
    choices: ClassVar[dict[str, tuple[int, ...]]] = {
        "block": (256, 512, 1024),
        "vector": (1, 2, 4),
        "blocks": (128, 256, 512, 1024),
    }

    def is_legal(self) -> bool:
        """Whether a kernel can be written for it."""
        return True


@dataclass(frozen=True, slots=True)
class MatmulSchedule:
    """Each block computes a tile of the product from tiles in shared memory; a thread holds a micro-tile."""

    tile_m: int = 128
    """Rows of the block's tile."""
    tile_n: int = 128
    """Columns of the block's tile."""
    tile_k: int = 8
    """Depth of the tiles in shared memory."""
    thread_m: int = 8
    """Rows of a thread's micro-tile."""
    thread_n: int = 8
    """Columns of a thread's micro-tile."""
    vector: int = 4
    """Elements per load from global memory."""
    buffers: int = 2
    """Tiles in shared memory: 2 overlap the next tile's loads with the arithmetic."""

    kind: ClassVar[str] = "matmul"
    choices: ClassVar[dict[str, tuple[int, ...]]] = {
        "tile_m": (32, 64, 128),
        "tile_n": (32, 64, 128),
        "tile_k": (8, 16, 32),
        "thread_m": (4, 8),
        "thread_n": (4, 8),
        "vector": (1, 4),
        "buffers": (1, 2),
    }

    @property
    def block(self) -> int:
        """Threads per block."""
        return (self.tile_m // self.thread_m) * (self.tile_n // self.thread_n)

    @property
    def unroll(self) -> int:
        """Steps of the summed dimension that are written out: whole tiles, unless that makes the code too long."""
        return min(self.tile_k, _UNROLLED_PRODUCTS // (self.thread_m * self.thread_n))

    def is_legal(self) -> bool:
        """Whether a kernel can be written for it."""
        per_step = self.block * self.vector
        shared = 4 * self.buffers * self.tile_k * (self.tile_m + self.tile_n + 8)
        return (
            64 <= self.block <= 512  # noqa: PLR2004 -- enough warps to hide latency, few enough to keep registers
            and (self.tile_m * self.tile_k) % per_step == 0
            and (self.tile_n * self.tile_k) % per_step == 0
            and shared <= 48 * 1024
        )


Schedule = PointwiseSchedule | RowSchedule | SerialSchedule | WholeSchedule | MatmulSchedule
SCHEDULES: dict[str, type[Schedule]] = {
    kind.kind: kind for kind in (PointwiseSchedule, RowSchedule, SerialSchedule, WholeSchedule, MatmulSchedule)
}


def neighbours(schedule: Schedule) -> Iterator[Schedule]:
    """Yield the legal schedules that differ in one step of one field, or of two that must change together."""
    seen = {schedule}
    singles = list(_single_steps(schedule))
    doubles = [second for first in singles for second in _single_steps(first) if not first.is_legal()]
    for candidate in (*singles, *doubles):
        if candidate not in seen and candidate.is_legal():
            seen.add(candidate)
            yield candidate


def _single_steps(schedule: Schedule) -> Iterator[Schedule]:
    for name, values in schedule.choices.items():
        position = values.index(getattr(schedule, name))
        for other in (position + 1, position - 1):
            if 0 <= other < len(values):
                yield _rebuilt(type(schedule), {**_settings(schedule), name: values[other]})


def mix(first: Schedule, second: Schedule, take: tuple[bool, ...]) -> Schedule | None:
    """Take each field from `second` where `take` says so; None when the two are of different kinds or it is illegal."""
    if type(first) is not type(second):
        return None
    chosen = {
        field.name: getattr(second if from_second else first, field.name)
        for field, from_second in zip(fields(first), take, strict=False)
    }
    mixed = _rebuilt(type(first), chosen)
    return mixed if mixed.is_legal() else None


def _settings(schedule: Schedule) -> dict[str, int]:
    return {field.name: getattr(schedule, field.name) for field in fields(schedule)}


def _rebuilt(kind: type[Schedule], settings: dict[str, int]) -> Schedule:
    return kind(**settings)


def to_record(schedule: Schedule) -> dict[str, int | str]:
    """Return the schedule as it stands in a kernel's header."""
    return {"kind": schedule.kind, **_settings(schedule)}


def from_record(record: dict[str, int | str]) -> Schedule | None:
    """Return the schedule of a header, or None when it is not one of ours."""
    settings = dict(record)
    kind = SCHEDULES.get(str(settings.pop("kind", "")))
    if kind is None or set(settings) != {field.name for field in fields(kind)}:
        return None
    if any(value not in kind.choices[name] for name, value in settings.items()):
        return None
    schedule = _rebuilt(kind, {name: int(value) for name, value in settings.items()})
    return schedule if schedule.is_legal() else None
