"""Where a value that nothing has written was read, told from a worker's log of such reads."""

from __future__ import annotations

from collections.abc import Iterator

from simgpu.analysis.unwritten import feeding_loads
from simgpu.codegen.program import Program, Use
from simgpu.ptx.syntax import Instruction
from simgpu.runtime import state

_WARP = 32


def find_read(program: Program, worker: state.Worker) -> state.LoggedRead | None:
    """Return the read that a use of an unwritten value comes from: the latest one that fits.

    It is one of the loads from which the used registers may come, by the same thread if it has any, else by the same
    warp, whose lanes exchange values, else by another. None where the log holds no read at all.
    """
    reads = list(_latest_first(worker))
    site = program.sites[worker.fault_site]
    if site.use is None:
        fitting = [read for read in reads if program.sites[read.site].instruction is site.instruction]
    else:
        loads, elsewhere = _sources(site.use)
        own = frozenset(site.use.function.body or ())
        fitting = [
            read
            for read in reads
            if (made := program.sites[read.site].instruction) in loads or (elsewhere and made not in own)
        ]
    return min(fitting or reads, key=lambda read: _distance(read, worker.fault_thread), default=None)


def _latest_first(worker: state.Worker) -> Iterator[state.LoggedRead]:
    log = (state.LoggedRead * state.READ_LOG).from_address(worker.read_log)
    end = worker.unwritten_reads
    for number in range(end - 1, max(end - state.READ_LOG, 0) - 1, -1):
        yield log[number % state.READ_LOG]


def _sources(use: Use) -> tuple[frozenset[Instruction], bool]:
    """Return the loads that may have brought what is used, and whether calls may have passed it from elsewhere."""
    loads = feeding_loads(use.function, use.registers)
    return loads, any(name.startswith("param") for load in loads for name in load.modifiers)


def _distance(read: state.LoggedRead, thread: int) -> int:
    if read.thread == thread:
        return 0
    return 1 if read.thread // _WARP == thread // _WARP else 2
