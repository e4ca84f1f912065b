"""What one kernel's compilation knows beyond a single function: variant, variables, sites, block numbering."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from simgpu.analysis.unwritten import reads_memory
from simgpu.analysis.widths import global_shift, memory_accesses, shared_shift
from simgpu.codegen.callgraph import function_addresses, reachable, recursive, taken_addresses
from simgpu.ptx.syntax import Address, Function, Instruction, ModuleSyntax, Register, Space, Special, Symbol, Variable
from simgpu.report import Dim3

_SHARED_ALIGN = 16
RESERVED_SHARED = "%reserved_smem_offset_1"
"""Stands for the shared memory that the system keeps for cooperative groups of several warps."""
_RESERVED_BYTES = 512
_MOST_INLINE = 48
"""Checked accesses of a kernel that are generated in place."""
_RECURSION = 100
"""Calls within calls for which there is local memory; a fiber's stack holds about as many."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to compile a kernel: code depends on the block's size and on what is watched."""

    block: Dim3
    checks: bool
    counters: bool

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.block[0] * self.block[1] * self.block[2]


class UseKind(StrEnum):
    """How a value that nothing has written matters; the words of a diagnostic."""

    BRANCH = "decides a branch"
    GUARD = "decides whether an instruction runs"
    ADDRESS = "is part of an address"
    STORED = "is stored to global memory"
    ATOMIC = "is an atomic's operand"
    LANES = "says which lanes take part"
    BARRIER = "is a barrier's operand"
    CALLED = "says which function is called"
    COPIED = "says how much is copied"


@dataclass(frozen=True, slots=True)
class Use:
    """A place where registers' values matter, within a function."""

    kind: UseKind
    function: Function
    registers: tuple[Register, ...]


@dataclass(frozen=True, slots=True)
class Site:
    """An instruction that can fault, as a fault names it."""

    instruction: Instruction
    size: int
    space: Space
    use: Use | None = None
    """Set where what matters is not the instruction's access but whether its operands are written."""


@dataclass(frozen=True, slots=True)
class CountedBlock:
    """A basic block under count: its instructions, terminator included."""

    instructions: tuple[Instruction, ...]


@dataclass(slots=True)
class Program:
    """The kernel and the functions that it calls, with the places of their variables.

    `shared` and `local` are byte offsets into a block's shared and a thread's local memory; `pointers` numbers
    the module's global and constant variables in the table of their addresses.
    """

    syntax: ModuleSyntax
    kernel: Function
    variant: Variant
    functions: tuple[Function, ...] = ()
    shared: dict[str, int] = field(default_factory=dict)
    static_shared: int = 0
    shared_shift: int = 2
    """Base-two logarithm of the bytes of a shadow cell of shared memory: the narrowest access that may go there."""
    global_shift: int | None = None
    """Base-two logarithm of the bytes that share a tag of global memory; None if there are no plain stores to tag."""
    local: dict[tuple[str, str], int] = field(default_factory=dict)
    local_bytes: int = 0
    frames: dict[str, int] = field(default_factory=dict)
    """Bytes of local memory that each call of a recursive function takes."""
    addresses: dict[str, int] = field(default_factory=dict)
    """What a pointer to a function holds."""
    taken: frozenset[str] = frozenset()
    """Functions whose address is taken."""
    pointers: dict[str, int] = field(default_factory=dict)
    support: dict[str, str] = field(default_factory=dict)
    """Functions that lowerings need, by name, as LLVM text."""
    waits_by_mbarrier: bool = False
    """Whether mbarriers order its accesses."""
    spins: bool = False
    """Whether it has loops that wait for another thread."""
    copies: bool = False
    """Whether it copies asynchronously."""
    crowded: bool = False
    """Whether checked accesses are calls of shared functions: inline, so many would take long to compile."""
    follows: bool = False
    """Whether values that nothing has written are followed to their uses."""
    prints: bool = False
    """Whether it calls `printf`."""
    sites: list[Site] = field(default_factory=list)
    counted: list[CountedBlock] = field(default_factory=list)

    @property
    def reserved_shared(self) -> tuple[int, int]:
        """Where the system's shared memory begins, and its bytes: none unless the kernel asks for it."""
        place = self.shared.get(RESERVED_SHARED)
        return (0, 0) if place is None else (place, _RESERVED_BYTES)

    def site(self, instruction: Instruction, size: int = 0, space: Space = Space.GENERIC) -> int:
        """Give a place that can fault its number."""
        self.sites.append(Site(instruction, size, space))
        return len(self.sites) - 1

    def use_site(
        self, instruction: Instruction, function: Function, registers: tuple[Register, ...], kind: UseKind
    ) -> int:
        """Give a place where values matter its number."""
        self.sites.append(Site(instruction, 0, Space.GENERIC, Use(kind, function, registers)))
        return len(self.sites) - 1


def plan_program(syntax: ModuleSyntax, kernel: Function, variant: Variant) -> Program:
    """Collect the functions that a kernel reaches and lay out its shared and local memory.

    Raises
    ------
    UnsupportedError
        When it calls a function that the module only declares and simgpu does not provide.
    """
    program = Program(syntax, kernel, variant)
    program.functions = reachable(syntax, kernel)
    names = set(_symbols(program.functions))
    pools = [*syntax.variables, *(variable for function in program.functions for variable in function.variables)]
    shared = [variable for variable in pools if variable.space is Space.SHARED and variable.name in names]
    program.static_shared = _place_shared(program, shared, reserved=RESERVED_SHARED in names)
    program.shared_shift = shared_shift(program.functions)
    program.global_shift = global_shift(program.functions)
    for variable in syntax.variables:
        if variable.space in {Space.GLOBAL, Space.CONST}:
            program.pointers[variable.name] = len(program.pointers)
    program.addresses, program.taken = function_addresses(syntax), taken_addresses(syntax)
    _place_local(program)
    used = {
        item.base for function in program.functions for item in function.body or () if isinstance(item, Instruction)
    }
    program.waits_by_mbarrier = "mbarrier" in used
    program.copies = "cp" in used
    program.follows = variant.checks and reads_memory(program.functions)
    program.crowded = variant.checks and memory_accesses(program.functions) > _MOST_INLINE
    return program


def _place_local(program: Program) -> None:
    """Lay out local memory: one place for each function, then frames for those that call themselves."""
    again = recursive(program.functions, program.taken)
    for function in sorted(program.functions, key=lambda function: function.name in again):
        start = program.local_bytes
        for variable in function.variables:
            if variable.space is Space.LOCAL:
                program.local[function.name, variable.name] = _aligned(program.local_bytes, variable.align)
                program.local_bytes = program.local[function.name, variable.name] + (variable.size or 0)
        program.local_bytes = _aligned(program.local_bytes, _SHARED_ALIGN)
        if function.name in again and program.local_bytes > start:
            program.frames[function.name] = program.local_bytes - start
    program.local_bytes += _RECURSION * sum(program.frames.values())


def _place_shared(program: Program, variables: list[Variable], *, reserved: bool) -> int:
    end = 0
    for variable in variables:
        if variable.size is not None:
            program.shared[variable.name] = _aligned(end, variable.align)
            end = program.shared[variable.name] + variable.size
    if reserved:
        program.shared[RESERVED_SHARED] = _aligned(end, _SHARED_ALIGN)
        end = program.shared[RESERVED_SHARED] + _RESERVED_BYTES
    dynamic = _aligned(end, _SHARED_ALIGN)
    unsized = [variable for variable in variables if variable.size is None]
    for variable in unsized:
        dynamic = _aligned(dynamic, variable.align)
    for variable in unsized:
        program.shared[variable.name] = dynamic
    return dynamic if unsized else end


def _aligned(offset: int, align: int) -> int:
    return -(-offset // align) * align


def _symbols(functions: tuple[Function, ...]) -> list[str]:
    """List the names of variables and special registers that functions use."""
    names = []
    for function in functions:
        for item in function.body or ():
            if not isinstance(item, Instruction):
                continue
            for operand in item.operands:
                target = operand.base if isinstance(operand, Address) else operand
                if isinstance(target, Symbol):
                    names.append(target.name)
                elif isinstance(target, Special):
                    names.append(f"%{target.name}")
    return names
