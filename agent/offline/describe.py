"""Says in plain words how a stage is laid out; stands in the kernel's comment and in the trace."""

from __future__ import annotations

from agent.offline.schedules import (
    MatmulSchedule,
    PointwiseSchedule,
    RowSchedule,
    Schedule,
    SerialSchedule,
    WholeSchedule,
)
from agent.offline.stages import Stage


def describe(stage: Stage, schedule: Schedule) -> str:
    """Return one sentence about a stage and its schedule."""
    match schedule:
        case PointwiseSchedule():
            return (
                f"Pointwise: {schedule.items} vector(s) of {schedule.vector} element(s) per thread, "
                f"{schedule.block} threads per block."
            )
        case RowSchedule():
            return _row(stage, schedule)
        case SerialSchedule():
            return (
                f"{_work(stage)}: one thread per row, {schedule.block} threads per block, steps of {schedule.unroll}."
            )
        case WholeSchedule():
            return (
                f"{_work(stage)} over everything: at most {schedule.blocks} blocks of {schedule.block} threads reduce "
                "parts, one block reduces their results in a fixed order."
            )
        case MatmulSchedule():
            return (
                f"Matrix product: {schedule.tile_m} x {schedule.tile_n} tiles, depth {schedule.tile_k}, "
                f"{schedule.thread_m} x {schedule.thread_n} per thread, {schedule.buffers} tile(s) in shared memory."
            )


def _work(stage: Stage) -> str:
    return "Row " + ", ".join(reduction.op for reduction in stage.reductions)


def _row(stage: Stage, schedule: RowSchedule) -> str:
    longer = "stay in shared memory while they fit" if schedule.shared else "are read again for each pass"
    if schedule.items == 0:
        return f"{_work(stage)}: {schedule.stream} threads per row, rows {longer}, vectors of {schedule.vector}."
    return (
        f"{_work(stage)}: {schedule.group} threads per row, {schedule.rows} row(s) per block, rows of up to "
        f"{schedule.capacity} elements stay in registers, vectors of {schedule.vector}; longer rows {longer} "
        f"({schedule.stream} threads)."
    )
