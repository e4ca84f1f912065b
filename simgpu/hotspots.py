"""Names the source lines on which a launch loses most: what to look at first when a kernel is to become faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from simgpu.report import LineCounters
from simgpu.specs import SECTOR_BYTES, WARP_SIZE

_LEAST_SHARE = 0.2
"""Part of a line's work that must be lost before the line is named."""
_LEAST_CONTENTION = 8


class HotspotKind(StrEnum):
    """In what way a line loses time."""

    UNCOALESCED = "uncoalesced"
    """Global accesses touch more sectors than their bytes need."""
    BANK_CONFLICTS = "bank_conflicts"
    """Shared accesses take extra passes over the banks."""
    DIVERGENCE = "divergence"
    """Few lanes of the warps that run the line are active."""
    ATOMIC_CONTENTION = "atomic_contention"
    """Many lanes of a warp meet at one address."""


@dataclass(frozen=True, slots=True)
class Hotspot:
    """The worst line of one kind."""

    kind: HotspotKind
    file: str
    line: int
    message: str
    """The figures, in words."""


@dataclass(frozen=True, slots=True)
class _Measure:
    """What one kind of loss is: how much a line loses, out of what, and how to say it."""

    kind: HotspotKind
    lost: Callable[[LineCounters], float]
    whole: Callable[[LineCounters], float]
    words: Callable[[LineCounters], str]


def _needed(line: LineCounters) -> float:
    return line.global_bytes / SECTOR_BYTES / line.global_requests


_MEASURES = (
    _Measure(
        HotspotKind.UNCOALESCED,
        lambda line: line.wasted_sectors,
        lambda line: line.global_sectors,
        lambda line: (
            f"{line.sectors_per_request:.1f} sectors per global request where {_needed(line):.1f} hold the bytes"
        ),
    ),
    _Measure(
        HotspotKind.BANK_CONFLICTS,
        lambda line: line.shared_conflicts,
        lambda line: line.shared_requests + line.shared_conflicts,
        lambda line: f"{line.shared_conflicts / line.shared_requests:.1f} extra passes per shared-memory request",
    ),
    _Measure(
        HotspotKind.DIVERGENCE,
        lambda line: WARP_SIZE * line.instructions - line.thread_instructions,
        lambda line: WARP_SIZE * line.instructions,
        lambda line: f"{line.active_lanes:.1f} of 32 lanes active over {line.instructions:,} warp instructions",
    ),
    _Measure(
        HotspotKind.ATOMIC_CONTENTION,
        lambda line: line.atomic_lanes if line.atomic_contention >= _LEAST_CONTENTION else 0,
        lambda line: line.atomic_lanes,
        lambda line: (
            f"up to {line.atomic_contention} lanes of a warp at one address, {line.atomic_lanes:,} operations in all"
        ),
    ),
)


def find_hotspots(lines: Sequence[LineCounters]) -> tuple[Hotspot, ...]:
    """Return the line that loses most in each way, where it loses at least a fifth of its own work so."""
    found = []
    for measure in _MEASURES:
        losing = [line for line in lines if measure.lost(line) > _LEAST_SHARE * measure.whole(line)]
        if losing:
            worst = max(losing, key=measure.lost)
            found.append(Hotspot(measure.kind, worst.file, worst.line, measure.words(worst)))
    return tuple(found)


def costliest(lines: Sequence[LineCounters], most: int) -> tuple[LineCounters, ...]:
    """Return the lines with the largest shares of the instructions and of each kind of loss, in order of the source."""
    shares: dict[LineCounters, float] = dict.fromkeys(lines, 0.0)
    weights: list[Callable[[LineCounters], float]] = [
        lambda line: line.instructions,
        lambda line: line.global_sectors,
        *(measure.lost for measure in _MEASURES),
    ]
    for weight in weights:
        total = sum(weight(line) for line in lines)
        for line in lines if total else ():
            shares[line] += weight(line) / total
    chosen = sorted(lines, key=lambda line: shares[line], reverse=True)[:most]
    return tuple(sorted(chosen, key=lambda line: (line.file, line.line)))
