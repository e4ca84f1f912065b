"""Uniform and patterned registers, and branches that part the lanes of a warp."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simgpu.analysis import shapes
from simgpu.analysis.graph import Branch, Graph, Switch
from simgpu.analysis.liveness import live_in
from simgpu.analysis.operands import read, written
from simgpu.analysis.pending import Pending, find_pending
from simgpu.analysis.shapes import Shape
from simgpu.analysis.transfer import ShapeRules, lane_special
from simgpu.ptx.syntax import Address, Instruction, Operand, Register, Special, Symbol
from simgpu.report import Dim3

_PER_LANE = frozenset(
    {"addc", "subc", "madc", "shfl", "atom", "match", "elect", "ldmatrix", "mma", "wmma", "movmatrix", "mbarrier"}
)
_WHOLE_WARP = frozenset({"vote", "activemask", "redux", "bar", "barrier"})
_OF_MEMBERS = frozenset({"vote", "redux"})
_SPACES = frozenset({"global", "shared", "local", "const", "param"})


@dataclass(frozen=True, slots=True)
class PrivateMemory:
    """Memory that each lane has for itself.

    `generic` says that generic addresses may point to local memory; `parameters` are the `.param` variables that
    hold a value for each lane: those of calls, and all of a called function.
    """

    generic: bool
    parameters: frozenset[str]


@dataclass(frozen=True, slots=True)
class Uniformity:
    """The analysis' result.

    `shapes` holds a shape for each register that has one (uniform registers always do); `blended` has, for each
    block, the registers whose writes must keep the old values of lanes that wait elsewhere; `live` those that are read
    there or behind it before they are written.
    """

    graph: Graph
    rules: ShapeRules
    pending: Pending
    divergent_blocks: frozenset[int]
    vectors: frozenset[int]
    shapes: dict[int, Shape | None]
    blended: dict[int, int]
    live: dict[int, int]

    def is_uniform(self, register: Register) -> bool:
        """Whether one scalar holds the register for the whole warp."""
        return register.index not in self.vectors

    def shape(self, operand: Operand) -> Shape | None:
        """Return the shape of an operand's value, if it has one."""
        return self.rules.operand(operand, self.shapes)


def analyse(graph: Graph, block_size: Dim3, private: PrivateMemory, offsets: Mapping[str, int]) -> Uniformity:
    """Find the uniform registers of a function.

    `private` tells which loads give each lane its own value though the addresses are equal; `offsets` are the known
    addresses of shared variables.
    """
    live = live_in(graph)
    pinned: frozenset[int] = frozenset()
    rules = ShapeRules(block_size, offsets)
    while True:
        search = _Search(graph, pinned, private)
        divergent, pending, blended = search.settle(live)
        found = _find_shapes(graph, rules, search.vectors, blended)
        even = frozenset(index for index in search.vectors if _even(found.get(index)))
        if not even:
            return Uniformity(graph, rules, pending, divergent, frozenset(search.vectors), found, blended, live)
        pinned |= even


def _even(shape: Shape | None) -> bool:
    """Whether a value computed from lane-dependent ones is the same in all lanes all the same (`tid / 32`)."""
    return shape is not None and shape.uniform and not shape.wrapped


class _Search:
    def __init__(self, graph: Graph, pinned: frozenset[int], private: PrivateMemory) -> None:
        self._graph = graph
        self._pinned = pinned
        self._private = private
        self.vectors: set[int] = set()

    def settle(self, live: dict[int, int]) -> tuple[frozenset[int], Pending, dict[int, int]]:
        """Alternate between masks and registers until neither changes."""
        while True:
            divergent = self.divergent_blocks()
            pending = find_pending(self._graph, divergent)
            blended = {block: _union(live, pending.at[block]) for block in self._graph.order}
            if not self.spread(blended):
                return divergent, pending, blended

    def divergent_blocks(self) -> frozenset[int]:
        """Return the blocks whose terminators depend on the lane."""
        found = set()
        for index in self._graph.order:
            end = self._graph.blocks[index].terminator
            if (isinstance(end, Branch) and end.predicate.index in self.vectors) or (
                isinstance(end, Switch) and end.index.index in self.vectors
            ):
                found.add(index)
        return frozenset(found)

    def spread(self, blended: dict[int, int]) -> bool:
        """Mark registers that depend on the lane, to a fixed point; return whether any was new."""
        before = len(self.vectors)
        changed = True
        while changed:
            start = len(self.vectors)
            for index in self._graph.order:
                keep = blended[index]
                for instruction in self._graph.blocks[index].instructions:
                    self._visit(instruction, keep)
            changed = len(self.vectors) != start
        return len(self.vectors) != before

    def _visit(self, instruction: Instruction, keep: int) -> None:
        results = [register.index for register in written(instruction) if register.index not in self._pinned]
        if not results or all(index in self.vectors for index in results):
            return
        guarded = instruction.predicate is not None and instruction.predicate.index in self.vectors
        if guarded or self._depends_on_lane(instruction):
            self.vectors.update(results)
        else:
            self.vectors.update(index for index in results if keep >> index & 1)

    def _depends_on_lane(self, instruction: Instruction) -> bool:
        base = instruction.base
        if base in _WHOLE_WARP:
            return base in _OF_MEMBERS and self._members_differ(instruction)
        if base in _PER_LANE or (base == "ld" and self._private_load(instruction)):
            return True
        if any(isinstance(operand, Special) and lane_special(operand.name) for operand in instruction.operands):
            return True
        return any(register.index in self.vectors for register in read(instruction))

    def _members_differ(self, instruction: Instruction) -> bool:
        """Whether tiles of one warp run a warp-wide instruction together, each under its own member mask."""
        mask = instruction.operands[-1]
        return "sync" in instruction.modifiers and isinstance(mask, Register) and mask.index in self.vectors

    def _private_load(self, instruction: Instruction) -> bool:
        """Whether lanes that load from one address may get different values."""
        spaces = {modifier.partition("::")[0] for modifier in instruction.modifiers} & _SPACES
        if "local" in spaces:
            return True
        if "param" in spaces:
            place = instruction.operands[1]
            base = place.base if isinstance(place, Address) else None
            return isinstance(base, Symbol) and base.name in self._private.parameters
        return not spaces and self._private.generic


def _union(live: dict[int, int], blocks: int) -> int:
    total = 0
    while blocks:
        lowest = blocks & -blocks
        total |= live[lowest.bit_length() - 1]
        blocks ^= lowest
    return total


_ROUNDS = 40


def _find_shapes(
    graph: Graph, rules: ShapeRules, vectors: set[int], blended: dict[int, int]
) -> dict[int, Shape | None]:
    """Compute shapes optimistically: a register has none yet, then what its definitions agree on."""
    found: dict[int, Shape | None] = {}
    for _ in range(_ROUNDS):
        changed = False
        for index in graph.order:
            for instruction in graph.blocks[index].instructions:
                for register in written(instruction):
                    new = _defined(found, instruction, register, rules, vectors=vectors, keep=blended[index])
                    if new is not _UNKNOWN and (register.index not in found or found[register.index] != new):
                        found[register.index] = new
                        changed = True
        if not changed:
            return found
    return {index: None if index in vectors else shapes.UNIFORM for index in found}


_UNKNOWN = Shape(None, -1)
"""Stands for a shape that cannot be computed yet, since a source has none so far."""


def _defined(
    found: dict[int, Shape | None],
    instruction: Instruction,
    register: Register,
    rules: ShapeRules,
    *,
    vectors: set[int],
    keep: int,
) -> Shape | None:
    """Return a register's shape after one definition, joined with what the others gave."""
    number = register.index
    if number not in found and any(source.index not in found for source in read(instruction)):
        return _UNKNOWN
    blends = bool(keep >> number & 1) or instruction.predicate is not None
    new = rules.result(instruction, found)
    if number not in vectors:
        new = new if new is not None and new.uniform and not blends else shapes.UNIFORM
    elif blends:
        new = None
    return shapes.join(found[number], new) if number in found else new
