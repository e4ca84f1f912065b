"""What `sim run --counters` shows of a launch."""

from dataclasses import replace

from rich.console import Console

from cli.counters import counter_tables
from simgpu.report import LaunchReport, Limiter, LineCounters, ModelledLaunch, TimeBreakdown

LINES = (
    LineCounters("/build/k.cu", 7, instructions=1000, thread_instructions=32_000),
    LineCounters("/build/k.cu", 9, 64, 2048, global_requests=64, global_sectors=2048, global_bytes=8192),
)
REPORT = LaunchReport("copy", (4, 1, 1), (256, 1, 1), 0, (), None, 4, 0.1, lines=LINES)


def timed(microseconds):
    parts = TimeBreakdown(*[1.0] * 9)
    return replace(REPORT, modelled=ModelledLaunch(microseconds, Limiter.DRAM, 1.0, parts), lines=LINES)


def shown(*reports):
    console = Console(width=120, highlight=False)
    with console.capture() as capture:
        for part in counter_tables(reports):
            console.print(part)
    return capture.get()


def test_a_kernels_longest_launch_is_shown_line_by_line():
    text = shown(timed(4.0), timed(9.5), replace(REPORT, kernel="other", lines=()))
    assert "copy: 2 launches, the longest grid 4×1×1, block 256×1×1, 9.5 µs modelled, bound by dram" in text
    assert "other: one launch grid 4×1×1, block 256×1×1" in text
    (row,) = [line for line in text.splitlines() if "k.cu:9 " in line and "│" in line]
    assert [cell.strip() for cell in row.split("│")][1:5] == ["k.cu:9", "64", "32.0", "32.0"]
    assert "uncoalesced at k.cu:9: 32.0 sectors per global request where 4.0 hold the bytes" in text
