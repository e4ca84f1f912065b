"""Generate one function: its blocks, masks and jumps. Instructions themselves are lowered by `simgpu.lowering`."""

from __future__ import annotations

from simgpu.analysis.graph import Block, Branch, Graph, Jump, Leave, Switch, build_graph
from simgpu.analysis.spinning import acts
from simgpu.analysis.uniformity import PrivateMemory, analyse
from simgpu.codegen.context import FULL, Context, integer_element
from simgpu.codegen.program import CountedBlock, Program, UseKind
from simgpu.codegen.values import WARP, Value, constant
from simgpu.lowering import EFFECTS, lower
from simgpu.ptx.syntax import Function, Instruction, Space, Variable
from simgpu.refusal import refused
from simgpu.runtime import state

_SUSPENDING = frozenset({"bar", "barrier", "mbarrier"})


class FunctionCode:
    """Generates the LLVM text of one function."""

    def __init__(self, program: Program, function: Function) -> None:
        self._program = program
        self._function = function
        _refuse_exit(function)
        self._graph: Graph = build_graph(function)
        program.spins |= bool(self._graph.spins)
        uniformity = analyse(self._graph, program.variant.block, _private_memory(program, function), program.shared)
        self.context = Context(program, function, uniformity)
        self._pending = uniformity.pending
        self._divergent = uniformity.divergent_blocks
        self._dispatchers: dict[tuple[int, ...], str] = {}
        self._promised: list[tuple[int, ...]] = []

    def generate(self) -> str:
        """Return the function's definition."""
        self._prologue()
        for index in self._graph.order:
            self._block(self._graph.blocks[index])
        while self._promised:
            self._write_dispatcher(self._promised.pop())
        lines = self.context.e.lines
        slots = self.context.unwritten.slots.values()
        body = "\n".join([lines[0], *slots, *self.context.fields.values(), *lines[1:]])
        return f"{self._signature()} #0 {{\n{body}\n}}\n"

    def _signature(self) -> str:
        if self._function.entry:
            return f"define void @{llvm_name(self._function)}(ptr %w, i32 %warp)"
        count = len(self._function.results) + len(self._function.params)
        fixed = ["ptr %w", "i32 %warp", "i64 %frame", "i32 %m", "i32 %live"]
        places = [*fixed, *(f"ptr %a{number}" for number in range(count))]
        return f"define internal void @{llvm_name(self._function)}({', '.join(places)})"

    # Prologue

    def _prologue(self) -> None:
        context, e = self.context, self.context.e
        e.start("entry")
        for register in self._function.registers:
            kind = Value("", integer_element(register.type), context.lanes_of(register)).type
            e.line(f"%r{register.index} = alloca {kind}")
            e.line(f"store {kind} zeroinitializer, ptr %r{register.index}")
        for index in self._graph.order:
            if self._has_slot(index):
                e.line(f"%m{index} = alloca <32 x i1>")
                e.line(f"store <32 x i1> zeroinitializer, ptr %m{index}")
        e.line("%carry = alloca <32 x i1>")
        e.line("%fuel = alloca i64")
        e.line(f"store i64 {state.FUEL}, ptr %fuel")
        self._parameters()
        context.entry_mask = self._entry_mask()
        e.line(f"br label %b{self._graph.order[0]}")

    def _parameters(self) -> None:
        context = self.context
        if not self._function.entry:
            for number, variable in enumerate((*self._function.results, *self._function.params)):
                context.locations[variable.name] = Value(f"%a{number}", "ptr", 1)
                context.variables[variable.name] = variable
        for variable in self._function.variables:
            if variable.space is Space.PARAM:
                context.locations[variable.name] = self._parameter(variable)

    def _parameter(self, variable: Variable) -> Value:
        """Make room for what a call passes: each lane's value, then the masks of unwritten words."""
        e, size = self.context.e, WARP * _bytes(variable)
        place = Value(e.name("param"), "ptr", 1)
        words = -(-_bytes(variable) // 4) if self._program.follows else 0
        e.line(f"{place.text} = alloca [{size + 4 * words} x i8], align 64")
        masks = e.address(place, size)
        for word in range(words):
            e.store(constant("i32", 0), e.address(masks, 4 * word))
        return place

    def _entry_mask(self) -> Value:
        context, e = self.context, self.context.e
        if not self._function.entry:
            return context.vector_mask(Value("%m", "i32", 1))
        threads = self._program.variant.threads
        if threads % WARP == 0:
            return FULL
        return e.compare("icmp ult", context.thread_ids(), constant("i32", threads, WARP))

    def _intact(self, index: int) -> bool:
        """Whether every lane that entered the function and has not left is there when the block runs."""
        return self._pending.at[index] == 0

    def _has_slot(self, index: int) -> bool:
        """Whether the lanes that wait at a block must be known; those at the exit tell who has left."""
        return not self._intact(index) or index == self._graph.exit

    # Blocks

    def _block(self, block: Block) -> None:
        context, e = self.context, self.context.e
        e.start(f"b{block.index}")
        context.mask = context.entry_mask
        if not self._intact(block.index):
            context.mask = e.value(f"load <32 x i1>, ptr %m{block.index}", "i1", WARP)
            e.line(f"store <32 x i1> zeroinitializer, ptr %m{block.index}")
        context.live = self._live(block.index)
        context.keep = context.uniformity.blended[block.index]
        context.unwritten.begin_block()
        if block.loops and block.loops[-1] == block.index:
            self._burn_fuel(block)
        if self._program.variant.counters:
            self._count(block)
        for instruction in block.instructions:
            self._instruction(instruction)
        self._test_unwritten(block)
        self._leave(block)

    def _test_unwritten(self, block: Block) -> None:
        """Report a branch that hangs on what nothing has written, and keep what is known of the registers."""
        unwritten, end = self.context.unwritten, block.terminator
        if not unwritten.followed:
            return
        if isinstance(end, Branch | Switch):
            tested = end.predicate if isinstance(end, Branch) else end.index
            unwritten.use(end.instruction, (tested,), UseKind.BRANCH)
        live = 0
        for successor in block.successors:
            live |= self.context.uniformity.live[successor]
        unwritten.end_block(live)

    def _live(self, index: int) -> Value:
        """Return the lanes that have not left the kernel; those that returned from a called function have not."""
        context, e = self.context, self.context.e
        if not self._function.entry:
            return context.vector_mask(Value("%live", "i32", 1))
        exit_block = self._graph.exit
        if not self._pending.at[index] >> exit_block & 1:
            return context.entry_mask
        left = e.value(f"load <32 x i1>, ptr %m{exit_block}", "i1", WARP)
        return e.binary("and", context.entry_mask, e.number("xor", left, -1))

    def _burn_fuel(self, header: Block) -> None:
        """Charge one iteration of a loop and look at the budget when the fuel is used up."""
        context, e = self.context, self.context.e
        inside = [block for block in self._graph.blocks if header.index in block.loops]
        cost = sum(len(block.instructions) + 1 for block in inside if block.loops[-1] == header.index)
        first = next((item for block in inside for item in block.instructions), None)
        left = e.number("sub", e.load(Value("%fuel", "ptr", 1), "i64"), cost)
        e.store(left, Value("%fuel", "ptr", 1))
        empty, go = e.label("empty"), e.label("go")
        used = e.compare("icmp slt", left, constant("i64", 0))
        e.line(f"br i1 {used.text}, label %{empty}, label %{go}, !prof !0")
        e.start(empty)
        place = first or _any_instruction(self._function)
        number = self._program.site(place)
        operands = [context.worker, constant("i32", number), context.first_lane()]
        burn = "sgpu_fuel"
        if header.index in self._graph.spins:
            burn = "sgpu_spin"
            works = any(acts(item) for block in inside for item in block.instructions)
            operands.append(constant("i32", int(works)))
        fuel = e.call(burn, constant("i64", 0), *operands)
        e.store(fuel, Value("%fuel", "ptr", 1))
        others = self._pending.turns(header.index)
        if others:
            # The lanes for which these wait may be of this warp: give them a turn.
            self._send(header.index, context.mask)
            self._dispatch((*others, header.index))
        else:
            e.line(f"br label %{go}")
        e.start(go)

    def _count(self, block: Block) -> None:
        context, e = self.context, self.context.e
        end = block.terminator
        last = (end.instruction,) if isinstance(end, Branch | Switch) else ()
        number = len(self._program.counted)
        self._program.counted.append(CountedBlock((*block.instructions, *last)))
        counts = context.field("block_counts", "ptr")
        for place, amount in enumerate((constant("i64", 1), None)):
            pointer = e.address(counts, 16 * number + 8 * place)
            added = amount or e.resize(e.intrinsic("ctpop", context.bits()), "i64")
            e.store(e.binary("add", e.load(pointer, "i64"), added), pointer)

    # Instructions

    def _instruction(self, instruction: Instruction) -> None:
        context = self.context
        if instruction.predicate is None:
            lower(context, instruction)
            return
        guard = context.fetch(instruction.predicate)
        if instruction.negated:
            guard = context.e.number("xor", guard, 1)
        if instruction.base in EFFECTS:
            self._guarded_effect(instruction, guard)
            return
        context.guard = guard
        lower(context, instruction)
        context.guard = None

    def _guarded_effect(self, instruction: Instruction, guard: Value) -> None:
        """Jump over a predicated memory access or barrier that no lane executes."""
        context, e = self.context, self.context.e
        if instruction.predicate is not None:
            context.unwritten.use(instruction, (instruction.predicate,), UseKind.GUARD)
        whole = context.mask
        some = guard
        if guard.lanes == WARP:
            context.mask = context.both(whole, guard)
            context.guard = guard
            some = context.any(context.mask)
        act, skip = e.label("act"), e.label("skip")
        context.unwritten.begin_branch(instruction)
        e.line(f"br i1 {some.text}, label %{act}, label %{skip}")
        e.start(act)
        lower(context, instruction)
        context.unwritten.end_branch(instruction)
        e.line(f"br label %{skip}")
        e.start(skip)
        context.mask, context.guard = whole, None

    # Jumps

    def _leave(self, block: Block) -> None:
        context, e = self.context, self.context.e
        end = block.terminator
        if isinstance(end, Leave):
            e.line("ret void")
        elif isinstance(end, Jump):
            self._jump(block.index, end.target)
        elif block.index in self._divergent:
            self._part(block, end)
        elif isinstance(end, Branch):
            condition = context.fetch(end.predicate)
            taken, other = e.label("taken"), e.label("other")
            first, second = (other, taken) if end.negated else (taken, other)
            e.line(f"br i1 {condition.text}, label %{first}, label %{second}")
            for label, target in ((taken, end.taken), (other, end.other)):
                e.start(label)
                self._jump(block.index, target)
        else:
            self._switch(block, end)

    def _switch(self, block: Block, end: Switch) -> None:
        context, e = self.context, self.context.e
        index = context.fetch(end.index)
        labels = [e.label("case") for _ in end.targets]
        cases = " ".join(f"{index.element} {number}, label %{label}" for number, label in enumerate(labels))
        e.line(f"switch {index.typed}, label %{labels[0]} [ {cases} ]")
        for label, target in zip(labels, end.targets, strict=True):
            e.start(label)
            self._jump(block.index, target)

    def _part(self, block: Block, end: Branch | Switch) -> None:
        """Send the lanes of a divergent branch to its targets, then go where lanes wait first."""
        context, e = self.context, self.context.e
        if isinstance(end, Branch):
            condition = context.fetch(end.predicate)
            inverse = e.number("xor", condition, 1)
            taken = context.both(context.mask, inverse if end.negated else condition)
            other = context.both(context.mask, condition if end.negated else inverse)
            self._send(end.taken, taken)
            self._send(end.other, other)
            if self._program.variant.counters:
                site = constant("i32", self._program.site(end.instruction))
                e.call("sgpu_count_branch", None, context.worker, site, context.bits(taken), context.bits(other))
        else:
            index = context.fetch(end.index)
            for number, target in enumerate(end.targets):
                here = e.compare("icmp eq", index, constant(index.element, number, index.lanes))
                self._send(target, context.both(context.mask, here))
        self._dispatch(tuple(self._pending.candidates(block.index, block.successors)))

    def _jump(self, index: int, target: int) -> None:
        self._send(target, self.context.mask)
        if self._pending.first_is(index, target):
            self.context.e.line(f"br label %b{target}")
        else:
            self._dispatch(tuple(self._pending.candidates(index, (target,))))

    def _send(self, target: int, mask: Value) -> None:
        """Add lanes to those that wait at a block."""
        if not self._has_slot(target):
            return
        e = self.context.e
        waiting = e.value(f"load <32 x i1>, ptr %m{target}", "i1", WARP)
        e.line(f"store {e.binary('or', waiting, mask).typed}, ptr %m{target}")

    def _dispatch(self, candidates: tuple[int, ...]) -> None:
        self.context.e.line(f"br label %{self._dispatcher(candidates)}")

    def _dispatcher(self, candidates: tuple[int, ...]) -> str:
        if len(candidates) == 1:
            return f"b{candidates[0]}"
        if candidates not in self._dispatchers:
            self._dispatchers[candidates] = self.context.e.label("dispatch")
            self._promised.append(candidates)
        return self._dispatchers[candidates]

    def _write_dispatcher(self, candidates: tuple[int, ...]) -> None:
        context, e = self.context, self.context.e
        e.start(self._dispatchers[candidates])
        waiting = e.value(f"load <32 x i1>, ptr %m{candidates[0]}", "i1", WARP)
        some = context.any(waiting)
        e.line(f"br i1 {some.text}, label %b{candidates[0]}, label %{self._dispatcher(candidates[1:])}")


def _refuse_exit(function: Function) -> None:
    """Refuse `exit` in a called function: the caller's lanes would have to end with it."""
    for item in () if function.entry else function.body or ():
        if isinstance(item, Instruction) and item.base == "exit":
            raise refused(item, f"in the called function {function.name}")


def _private_memory(program: Program, function: Function) -> PrivateMemory:
    names = {variable.name for variable in function.variables if variable.space is Space.PARAM}
    if not function.entry:
        names |= {variable.name for variable in (*function.params, *function.results)}
    return PrivateMemory(program.local_bytes > 0, frozenset(names))


def llvm_name(function: Function) -> str:
    """Return the function's symbol in compiled code."""
    return f'"kernel.{function.name}"' if function.entry else f'"func.{function.name}"'


def _bytes(variable: Variable) -> int:
    return variable.size or 0


def _any_instruction(function: Function) -> Instruction:
    return next(item for item in function.body or () if isinstance(item, Instruction))


def suspends(program: Program) -> bool:
    """Whether warps wait for each other, at barriers or in loops on words of memory."""
    if program.spins:
        return True
    for function in program.functions:
        for item in function.body or ():
            if isinstance(item, Instruction) and (
                item.base in _SUSPENDING
                or (item.base in {"ld", "atom"} and {"volatile", "relaxed", "acquire", "cas"} & set(item.modifiers))
            ):
                return True
    return False
