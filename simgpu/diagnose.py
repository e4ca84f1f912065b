"""From a worker's fault record to a diagnostic that names the place in the user's source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from simgpu.codegen.callgraph import callee
from simgpu.codegen.program import Program, Site
from simgpu.errors import SimgpuError
from simgpu.memory import DeviceMemory
from simgpu.origin import find_read
from simgpu.ptx.syntax import Instruction, Space
from simgpu.report import Diagnostic, DiagnosticKind, Dim3
from simgpu.runtime import state

WARP = 32
_KINDS = {
    state.FAULT_OUT_OF_BOUNDS: DiagnosticKind.OUT_OF_BOUNDS,
    state.FAULT_MISALIGNED: DiagnosticKind.MISALIGNED,
    state.FAULT_DIVERGENT: DiagnosticKind.DIVERGENT_BARRIER,
    state.FAULT_DEADLOCK: DiagnosticKind.DEADLOCK,
    state.FAULT_STARVED: DiagnosticKind.DEADLOCK,
    state.FAULT_RUNAWAY: DiagnosticKind.RUNAWAY,
    state.FAULT_TRAP: DiagnosticKind.TRAP,
    state.FAULT_RACE_SHARED: DiagnosticKind.DATA_RACE_SHARED,
    state.FAULT_RACE_COPY: DiagnosticKind.DATA_RACE_COPY,
    state.FAULT_RACE_GLOBAL: DiagnosticKind.DATA_RACE_GLOBAL,
}
_UNINITIALISED = {
    Space.SHARED: DiagnosticKind.UNINITIALISED_SHARED,
    Space.LOCAL: DiagnosticKind.UNINITIALISED_LOCAL,
    Space.GLOBAL: DiagnosticKind.UNINITIALISED_GLOBAL,
}
_ACCESS_KINDS = frozenset({
    DiagnosticKind.OUT_OF_BOUNDS, DiagnosticKind.MISALIGNED, DiagnosticKind.DATA_RACE_SHARED,
    DiagnosticKind.DATA_RACE_GLOBAL, DiagnosticKind.DATA_RACE_COPY,
})  # fmt: skip
_IN_SHARED = frozenset({DiagnosticKind.DATA_RACE_SHARED, DiagnosticKind.DATA_RACE_COPY})
_WORDS = {"ld": "load", "ldu": "load", "st": "store", "atom": "atomic access", "red": "atomic access", "cp": "copy"}
_COPY = "an asynchronous copy is under way, which nothing has waited for"


@dataclass(frozen=True, slots=True)
class FaultContext:
    """What a fault's description needs to know about its launch."""

    kernel: str
    program: Program
    memory: DeviceMemory
    shared_size: int
    resident: int
    """Blocks that may be under way at once."""


def diagnose(launch: FaultContext, workers: list[state.Worker]) -> tuple[Diagnostic, ...]:
    """Return one diagnostic for each worker that met a fault, by block."""
    faults = [worker for worker in workers if worker.fault_kind]
    faults.sort(key=lambda worker: tuple(reversed(worker.fault_block[:])))
    return tuple(_diagnostic(launch, worker) for worker in faults)


def _asserts(instruction: Instruction) -> bool:
    """Whether an instruction is the call that a failed assertion ends in; one of another function is lost."""
    return instruction.base == "call" and callee(instruction) == "__assertfail"


def _diagnostic(launch: FaultContext, worker: state.Worker) -> Diagnostic:
    if worker.fault_kind == state.FAULT_UNINITIALISED:
        return _uninitialised(launch, worker)
    site = launch.program.sites[worker.fault_site]
    kind = _KINDS[worker.fault_kind]
    if kind is DiagnosticKind.TRAP and _asserts(site.instruction):
        kind = DiagnosticKind.ASSERTION
    if kind is DiagnosticKind.TRAP and "sync" in site.instruction.modifiers:
        kind = DiagnosticKind.OUTSIDE_MEMBER_MASK
    address, allocation = None, None
    if kind in _ACCESS_KINDS:
        address = int(worker.fault_address)
    if address is not None and kind not in _IN_SHARED and _space(site, address) in {Space.GLOBAL, Space.CONST}:
        found = launch.memory.find(address)
        if kind is DiagnosticKind.OUT_OF_BOUNDS and found is not None and found.freed:
            kind = DiagnosticKind.USE_AFTER_FREE
        allocation = _allocation(launch, address)
    message = _message(launch, kind, worker, address)
    return _placed(launch, worker, kind, message, site=site, address=address, allocation=allocation)


def _placed(
    launch: FaultContext,
    worker: state.Worker,
    kind: DiagnosticKind,
    message: str,
    *,
    site: Site,
    address: int | None,
    allocation: str | None,
    thread: int | None = None,
) -> Diagnostic:
    """Build a diagnostic; `thread` is the one that met the fault, unless it is given."""
    location = site.instruction.location
    return Diagnostic(
        kind,
        launch.kernel,
        message,
        site.instruction.line,
        location.file if location else None,
        location.line if location else None,
        _dim3(worker.fault_block[:]),
        _thread(worker.fault_thread if thread is None else thread, _dim3(worker.block[:])),
        address,
        allocation,
    )


def _uninitialised(launch: FaultContext, worker: state.Worker) -> Diagnostic:
    """Describe a use of what nothing has written: the place is that of the read, the message names the use too."""
    used = launch.program.sites[worker.fault_site]
    read = find_read(launch.program, worker)
    if read is None:
        raise SimgpuError("a use of unwritten memory without a read of it")
    site, address = launch.program.sites[read.site], int(read.address)
    in_shared = address >> 56 << 56 == state.SHARED_WINDOW
    space = Space.SHARED if in_shared else _space(site, address)
    address -= state.SHARED_WINDOW if in_shared else 0
    message = f"{_place(launch, site, address, shared=in_shared)}, which nothing has written"
    if used.use is not None:
        message += f"; its value {used.use.kind}{_line_of(used, site)}"
    return _placed(
        launch,
        worker,
        _UNINITIALISED[space],
        message,
        site=site,
        address=address,
        allocation=_allocation(launch, address) if space is Space.GLOBAL else None,
        thread=int(read.thread),
    )


def _line_of(used: Site, read: Site) -> str:
    """Name the line of a use, and its file where that is another one than the read's."""
    here, there = used.instruction.location, read.instruction.location
    if here is None:
        return f" (PTX line {used.instruction.line})"
    if there is not None and here.file == there.file:
        return " in the same line" if here.line == there.line else f" in line {here.line}"
    return f" in line {here.line} of {PurePath(here.file).name}"


def _allocation(launch: FaultContext, address: int) -> str | None:
    near = launch.memory.find(address) or launch.memory.nearest(address)
    return None if near is None else near.label or f"{near.size} bytes at {near.address:#x}"


def _message(launch: FaultContext, kind: DiagnosticKind, worker: state.Worker, address: int | None) -> str:
    site = launch.program.sites[worker.fault_site]
    if address is None:
        starved = worker.fault_kind == state.FAULT_STARVED
        return _starved_message(launch, worker) if starved else _stop_message(kind, site)
    if kind is DiagnosticKind.DATA_RACE_SHARED:
        return _race_message(launch, site, address, worker)
    if kind is DiagnosticKind.DATA_RACE_COPY:
        return f"{_place(launch, site, address, shared=True)}, into which {_COPY}"
    if kind is DiagnosticKind.DATA_RACE_GLOBAL:
        return _global_race_message(launch, site, address, worker)
    return _access_message(launch, kind, site, address)


def _space(site: Site, address: int) -> Space:
    if site.space is not Space.GENERIC:
        return site.space
    window = address >> 56 << 56
    return {state.SHARED_WINDOW: Space.SHARED, state.LOCAL_WINDOW: Space.LOCAL}.get(window, Space.GLOBAL)


def _stop_message(kind: DiagnosticKind, site: Site) -> str:
    """Describe a fault that is no memory access."""
    opcode = site.instruction.opcode
    if kind is DiagnosticKind.DIVERGENT_BARRIER:
        return f"{opcode} is reached by only some threads of a warp while others of it have not left the kernel"
    if kind is DiagnosticKind.DEADLOCK:
        return f"every warp that has not left waits; the first waits at {opcode} for threads that never come"
    if kind is DiagnosticKind.RUNAWAY:
        return "the instruction budget is used up in a loop that does not end"
    if kind is DiagnosticKind.ASSERTION:
        return "a device assertion failed"
    if kind is DiagnosticKind.OUTSIDE_MEMBER_MASK:
        return f"{opcode} is executed by a thread that its member mask does not name, which is undefined"
    return f"{opcode}: the kernel stopped itself"


def _starved_message(launch: FaultContext, worker: state.Worker) -> str:
    """Describe blocks that spin for ever; the worker knows whether further ones have not begun."""
    if not worker.fault_other:
        return (
            "every block that has not ended waits in a loop for what no thread does; the host and later launches come"
            " too late, since a launch runs to its end here"
        )
    blocks = f"{launch.resident} blocks" if launch.resident != 1 else "1 block"
    return f"the card holds {blocks} of this kernel at once, and all wait in loops for what only a later one can do"


def _access_message(launch: FaultContext, kind: DiagnosticKind, site: Site, address: int) -> str:
    word = _WORDS.get(site.instruction.base, site.instruction.base)
    space = _space(site, address)
    offset = address & (1 << 56) - 1 if site.space is Space.GENERIC and space is not Space.GLOBAL else address
    subject = f"{word} of {site.size} bytes"
    if kind is DiagnosticKind.MISALIGNED:
        return f"{subject} at {space} address {offset:#x}, which is not a multiple of {site.size}"
    if space is Space.SHARED:
        return f"{subject} at offset {offset} of shared memory, which has {launch.shared_size} bytes"
    if space is Space.LOCAL:
        size = launch.program.local_bytes
        return f"{subject} at offset {offset} of a thread's local memory, which has {size} bytes"
    return _global_message(kind, subject, address, launch.memory)


def _place(launch: FaultContext, site: Site, address: int, *, shared: bool) -> str:
    """Describe an access within bounds."""
    subject = f"{_WORDS.get(site.instruction.base, site.instruction.base)} of {site.size} bytes"
    space = Space.SHARED if shared else _space(site, address)
    if space is not Space.GLOBAL:
        return f"{subject} at offset {address & (1 << 56) - 1} of {space} memory"
    found = launch.memory.find(address)
    if found is None:
        return f"{subject} at {address:#x}"
    name = f"'{found.label}'" if found.label else "the allocation"
    return f"{subject} at byte {address - found.address} of {name} of {found.size} bytes"


def _race_message(launch: FaultContext, site: Site, address: int, worker: state.Worker) -> str:
    place, other = _place(launch, site, address, shared=True), worker.fault_other
    if other >= state.EPOCH_STEP:
        return f"{place}, into which {_COPY}"
    who = "several warps" if other >= state.MANY_SYNC else f"warp {other % WARP}"
    verb = "read" if worker.fault_other_reads else "wrote"
    return f"{place}, which {who} {verb} with no barrier since"


def _global_race_message(launch: FaultContext, site: Site, address: int, worker: state.Worker) -> str:
    place, other = _place(launch, site, address, shared=False), _thread(worker.fault_other, _dim3(worker.grid[:]))
    why = (
        "and published; this block has not synchronised since"
        if worker.fault_other_published
        else "in the same launch, with no fence since"
    )
    return f"{place}, which block {other} wrote {why}"


def _global_message(kind: DiagnosticKind, subject: str, address: int, memory: DeviceMemory) -> str:
    near = memory.find(address) or memory.nearest(address)
    if near is None:
        return f"{subject} at {address:#x}; nothing is allocated"
    name = f"'{near.label}' of {near.size} bytes" if near.label else f"the allocation of {near.size} bytes"
    if kind is DiagnosticKind.USE_AFTER_FREE:
        return f"{subject} at byte {address - near.address} of {name}, which has been freed"
    if address < near.address:
        return f"{subject} at {address:#x}, {near.address - address} bytes before {name}"
    if address < near.end:
        return f"{subject} at byte {address - near.address} reaches past the end of {name}"
    return f"{subject} at {address:#x}, {address - near.end} bytes past the end of {name}"


def _thread(linear: int, block: Dim3) -> Dim3:
    return (linear % block[0], linear // block[0] % block[1], linear // (block[0] * block[1]))


def _dim3(values: list[int]) -> Dim3:
    return (values[0], values[1], values[2])
