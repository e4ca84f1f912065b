"""The control-flow graph of a function, and the order in which a warp visits its blocks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from simgpu.analysis.spinning import polls, spinning_loops
from simgpu.errors import PtxSyntaxError
from simgpu.ptx.syntax import Function, Immediate, Instruction, Label, Register, Symbol
from simgpu.refusal import refused

_RETURNS = {"ret", "exit"}
_BARRIERS = {"bar", "barrier", "call"}
_ALL_LANES = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Jump:
    """Go to one block."""

    target: int


@dataclass(frozen=True, slots=True)
class Branch:
    """Go to `taken` in the lanes where the predicate holds (or does not, if `negated`), else to `other`."""

    instruction: Instruction
    predicate: Register
    negated: bool
    taken: int
    other: int


@dataclass(frozen=True, slots=True)
class Switch:
    """Go to the target that the index register selects (`brx.idx`)."""

    instruction: Instruction
    index: Register
    targets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Leave:
    """The exit block's end: the lanes have left the function."""


Terminator = Jump | Branch | Switch | Leave


@dataclass(slots=True)
class Block:
    """A basic block. `loops` are the headers of the loops that hold it, outermost first."""

    index: int
    instructions: list[Instruction] = field(default_factory=list)
    terminator: Terminator = field(default_factory=Leave)
    loops: tuple[int, ...] = ()

    @property
    def successors(self) -> tuple[int, ...]:
        """The blocks that may follow, each once."""
        end = self.terminator
        if isinstance(end, Jump):
            return (end.target,)
        if isinstance(end, Branch):
            return (end.taken, end.other) if end.taken != end.other else (end.taken,)
        if isinstance(end, Switch):
            return tuple(dict.fromkeys(end.targets))
        return ()


@dataclass(frozen=True, slots=True)
class Graph:
    """Blocks by index; `order` lists the reachable ones, loops contiguous, the exit block last."""

    blocks: tuple[Block, ...]
    order: tuple[int, ...]
    position: dict[int, int]
    exit: int
    aside: frozenset[int]
    """Blocks on a way out that has nothing to do with any barrier: none comes before them or after them."""
    spins: frozenset[int] = frozenset()
    """Headers of loops that wait for another thread, maybe of the same warp."""
    barriers: frozenset[int] = frozenset()
    """Where a loop spins: the blocks that begin with a barrier, at which lanes wait for those that spin."""

    def common_depth(self, first: int, second: int) -> int:
        """Count the loops that hold both blocks."""
        depth = 0
        for mine, theirs in zip(self.blocks[first].loops, self.blocks[second].loops, strict=False):
            if mine != theirs:
                break
            depth += 1
        return depth

    def next_key(self, here: int, candidate: int) -> tuple[int, int, bool, int]:
        """Sort key of `candidate` as the next block of a warp that stands at the end of `here`.

        Lanes on a way out of their own go first, since those at a barrier need not wait for lanes that leave. Then
        inner loops are finished; within a loop, blocks go in order, then the next iteration. Lanes thus wait for the
        others at the immediate post-dominator of the branch that parted them. The exit block comes last.
        """
        place = self.position[candidate]
        turn = int(candidate not in self.aside)
        if candidate == self.exit or candidate in self.barriers:
            turn = 3 if candidate == self.exit else 2
        return (turn, -self.common_depth(here, candidate), place <= self.position[here], place)


def build_graph(function: Function) -> Graph:
    """Cut a function's body into blocks.

    Raises
    ------
    PtxSyntaxError
        When a branch names no label of the function.
    UnsupportedError
        On an indirect branch through a register without a target list.
    """
    builder = _Builder(function)
    blocks = builder.build()
    order = _arrange(blocks)
    exit_block = blocks[-1].index
    if exit_block in order:
        order.remove(exit_block)
    order.append(exit_block)
    position = {block: place for place, block in enumerate(order)}
    tested = ((index, register.index) for index in order if (register := _tested(blocks[index].terminator)))
    spins = spinning_loops(blocks, order, tested)
    barriers = {
        index for index in order if spins and blocks[index].instructions[:1] and gathers(blocks[index].instructions[0])
    }
    aside = _aside(blocks, order)
    return Graph(tuple(blocks), tuple(order), position, exit_block, aside, spins, frozenset(barriers))


def waits(instruction: Instruction) -> bool:
    """Whether an instruction is a barrier of the block's warps."""
    return instruction.base in {"bar", "barrier"} and "warp" not in instruction.modifiers


def gathers(instruction: Instruction) -> bool:
    """Whether all lanes of a warp meet at an instruction: at a barrier of the block, or of the whole warp."""
    if instruction.base == "bar" and "warp" in instruction.modifiers:
        members = instruction.operands[0]
        return isinstance(members, Immediate) and members.value & _ALL_LANES == _ALL_LANES
    return waits(instruction)


def _tested(end: Terminator) -> Register | None:
    """Return the register that a branch depends on."""
    if isinstance(end, Branch):
        return end.predicate
    return end.index if isinstance(end, Switch) else None


def _aside(blocks: list[Block], order: list[int]) -> frozenset[int]:
    """Find the blocks that no barrier (or call, which may hold one) can reach and that can reach none."""
    holders = {index for index in order if any(item.base in _BARRIERS for item in blocks[index].instructions)}
    after = set(holders)
    work = list(holders)
    while work:
        fresh = set(blocks[work.pop()].successors) - after
        after |= fresh
        work.extend(fresh)
    before = set(holders)
    grown = True
    while grown:
        more = {index for index in order if before.intersection(blocks[index].successors)} - before
        grown = bool(more)
        before |= more
    return frozenset(order) - before - after


class _Builder:
    def __init__(self, function: Function) -> None:
        self._function = function
        self._body = function.body or ()
        self._starts: dict[str, int] = {}

    def build(self) -> list[Block]:
        pieces = self._cut()
        blocks = [Block(index) for index in range(len(pieces) + 1)]
        for index, piece in enumerate(pieces):
            last = piece[-1] if piece else None
            ends = last is not None and _ends_block(last)
            blocks[index].instructions = piece[:-1] if ends else piece
            blocks[index].terminator = self._terminator(last if ends else None, index, len(pieces))
        for block in blocks:
            block.terminator = _threaded(blocks, block.terminator)
        return blocks

    def _cut(self) -> list[list[Instruction]]:
        pieces: list[list[Instruction]] = [[]]
        closed = False
        apart = any(isinstance(item, Instruction) and polls(item) for item in self._body)
        for item in self._body:
            if isinstance(item, Label):
                if pieces[-1] or closed:
                    pieces.append([])
                self._starts[item.name] = len(pieces) - 1
                closed = False
                continue
            if closed or (apart and pieces[-1] and gathers(item)):
                pieces.append([])
            pieces[-1].append(item)
            closed = _ends_block(item)
        return pieces

    def _terminator(self, last: Instruction | None, index: int, exit_block: int) -> Terminator:
        follower = min(index + 1, exit_block)
        if last is None:
            return Jump(follower)
        if last.base in _RETURNS:
            target = exit_block
        elif last.base == "brx":
            return self._switch(last)
        else:
            (label,) = last.operands
            if not isinstance(label, Symbol):
                raise refused(last, "through a register")
            target = self._target(label.name, last)
        if last.predicate is None:
            return Jump(target)
        return Branch(last, last.predicate, last.negated, target, follower)

    def _switch(self, last: Instruction) -> Switch:
        index, table = last.operands
        if last.predicate is not None or not isinstance(index, Register) or not isinstance(table, Symbol):
            raise refused(last, "this form of it")
        names = self._function.branch_targets[table.name]
        return Switch(last, index, tuple(self._target(name, last) for name in names))

    def _target(self, name: str, instruction: Instruction) -> int:
        if name not in self._starts:
            raise PtxSyntaxError(f"line {instruction.line}: there is no label {name}")
        return self._starts[name]


def _threaded(blocks: list[Block], end: Terminator) -> Terminator:
    """Jump past blocks that only jump on, so that lanes which return wait at the exit and count as gone."""
    if isinstance(end, Jump):
        return Jump(_final(blocks, end.target))
    if isinstance(end, Branch):
        return replace(end, taken=_final(blocks, end.taken), other=_final(blocks, end.other))
    if isinstance(end, Switch):
        return replace(end, targets=tuple(_final(blocks, target) for target in end.targets))
    return end


def _final(blocks: list[Block], target: int) -> int:
    seen = {target}
    while not blocks[target].instructions:
        end = blocks[target].terminator
        if not isinstance(end, Jump) or end.target in seen:
            break
        target = end.target
        seen.add(target)
    return target


def _ends_block(instruction: Instruction) -> bool:
    return instruction.base in {"bra", "brx"} or instruction.base in _RETURNS


def _arrange(blocks: list[Block]) -> list[int]:
    """Order the reachable blocks topologically, each loop contiguous, and note each block's loops.

    A loop is a strongly connected component; its first block in the order is the header. Irreducible
    loops get the header that is reached first, which keeps every visit order valid.
    """
    order: list[int] = []
    work: list[tuple[list[int], int | None, tuple[int, ...]]] = [(_reachable(blocks), None, ())]
    while work:
        members, header, loops = work.pop()
        if len(members) == 1 and header is None and members[0] not in blocks[members[0]].successors:
            blocks[members[0]].loops = loops
            order.append(members[0])
            continue
        if header is not None:
            blocks[header].loops = loops
            order.append(header)
            members = [member for member in members if member != header]
        inner = []
        for component in _components(blocks, members):
            loop_header = (
                component[0] if len(component) > 1 or component[0] in blocks[component[0]].successors else None
            )
            inner.append((component, loop_header, loops if loop_header is None else (*loops, loop_header)))
        work.extend(reversed(inner))
    return order


def _reachable(blocks: list[Block]) -> list[int]:
    """List the reachable blocks in depth-first order."""
    seen, stack, found = {0}, [0], []
    while stack:
        index = stack.pop()
        found.append(index)
        for successor in blocks[index].successors:
            if successor not in seen:
                seen.add(successor)
                stack.append(successor)
    return found


def _components(blocks: list[Block], members: list[int]) -> list[list[int]]:
    """List the strongly connected components in topological order, each led by its first-reached block (Tarjan)."""
    inside = set(members)
    number: dict[int, int] = {}
    low: dict[int, int] = {}
    open_stack: list[int] = []
    is_open: set[int] = set()
    found: list[list[int]] = []
    for root in sorted(members):
        if root in number:
            continue
        number[root] = low[root] = len(number)
        open_stack.append(root)
        is_open.add(root)
        path = [(root, iter(blocks[root].successors))]
        while path:
            node, successors = path[-1]
            for successor in successors:
                if successor not in inside:
                    continue
                if successor not in number:
                    number[successor] = low[successor] = len(number)
                    open_stack.append(successor)
                    is_open.add(successor)
                    path.append((successor, iter(blocks[successor].successors)))
                    break
                if successor in is_open:
                    low[node] = min(low[node], number[successor])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == number[node]:
                    place = open_stack.index(node)
                    found.append(open_stack[place:])
                    is_open.difference_update(open_stack[place:])
                    del open_stack[place:]
    found.reverse()
    return found
