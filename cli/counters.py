"""Tables of what kernels did on the simulated GPU, source line by source line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table

from simgpu.hotspots import costliest, find_hotspots
from simgpu.names import readable
from simgpu.report import LaunchReport, LineCounters

_SHOWN_LINES = 12


def counter_tables(launches: Iterable[LaunchReport]) -> Iterator[RenderableType]:
    """Yield a table for each kernel: the lines that cost most in its longest launch; and what stands out in it."""
    by_kernel: dict[str, list[LaunchReport]] = {}
    for report in launches:
        by_kernel.setdefault(report.kernel, []).append(report)
    for reports in by_kernel.values():
        longest = max(reports, key=_microseconds)
        yield _table(longest, len(reports))
        for spot in find_hotspots(longest.lines):
            yield f"{spot.kind.replace('_', ' ')} at {Path(spot.file).name}:{spot.line}: {spot.message}"


def _microseconds(report: LaunchReport) -> float:
    return report.modelled.microseconds if report.modelled else 0.0


def _table(report: LaunchReport, launches: int) -> Table:
    grid, block = ("×".join(str(size) for size in sizes) for sizes in (report.grid, report.block))
    times = f"{launches} launches, the longest" if launches > 1 else "one launch"
    title = f"{readable(report.kernel)}: {times} grid {grid}, block {block}"
    if report.modelled:
        title += f", {report.modelled.microseconds:.1f} µs modelled, bound by {report.modelled.limiter}"
    table = Table(title=title, title_justify="left")
    for number, heading in enumerate(
        ("line", "executed", "lanes", "sectors per request", "bank conflicts", "parted", "atomics", "barriers")
    ):
        table.add_column(heading, justify="right" if number else "left", no_wrap=not number)
    for line in costliest(report.lines, _SHOWN_LINES):
        table.add_row(*_cells(line))
    return table


def _cells(line: LineCounters) -> Sequence[str]:
    sectors = f"{line.sectors_per_request:.1f}" if line.global_requests else ""
    conflicts = f"{line.shared_conflicts:,}" if line.shared_requests else ""
    atomics = f"{line.atomic_lanes:,}" if line.atomic_lanes else ""
    return (
        f"{Path(line.file).name}:{line.line}",
        f"{line.instructions:,}",
        f"{line.active_lanes:.1f}",
        sectors,
        conflicts,
        f"{line.divergent_branches:,}" if line.divergent_branches else "",
        atomics,
        f"{line.barriers:,}" if line.barriers else "",
    )
