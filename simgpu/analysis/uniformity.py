"""Uniform and patterned registers, and branches that part the lanes of a warp."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass

from simgpu.analysis import shapes
from simgpu.analysis.graph import Branch, Graph, Switch
from simgpu.analysis.liveness import live_in
from simgpu.analysis.operands import read, registers_in, written
from simgpu.analysis.pending import Pending, find_pending
from simgpu.analysis.shapes import Shape
from simgpu.ptx.syntax import Address, Immediate, Instruction, Operand, Register, Special, Symbol
from simgpu.report import Dim3

_PER_LANE = frozenset({"atom", "match", "elect", "ldmatrix", "mma", "wmma", "movmatrix"})
_WHOLE_WARP = frozenset({"vote", "activemask", "redux"})
_LANE_SPECIALS = frozenset({"laneid", "lanemask_eq", "lanemask_le", "lanemask_lt", "lanemask_ge", "lanemask_gt"})
_SPACES = frozenset({"global", "shared", "local", "const", "param"})
_BITWISE: dict[str, Callable[[int, int], int]] = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}


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
    block, the registers whose writes must keep the old values of lanes that wait elsewhere.
    """

    graph: Graph
    block_size: Dim3
    pending: Pending
    divergent_blocks: frozenset[int]
    vectors: frozenset[int]
    shapes: dict[int, Shape | None]
    blended: dict[int, int]

    def is_uniform(self, register: Register) -> bool:
        """Whether one scalar holds the register for the whole warp."""
        return register.index not in self.vectors

    def shape(self, operand: Operand) -> Shape | None:
        """Return the shape of an operand's value, if it has one."""
        return operand_shape(operand, self.shapes, self.block_size)


def analyse(graph: Graph, block_size: Dim3, private: PrivateMemory) -> Uniformity:
    """Find the uniform registers of a function.

    `private` tells which loads give each lane its own value though the addresses are equal.
    """
    live = live_in(graph)
    pinned: frozenset[int] = frozenset()
    while True:
        search = _Search(graph, pinned, private)
        divergent, pending, blended = search.settle(live)
        found = _find_shapes(graph, block_size, search.vectors, blended)
        even = frozenset(index for index in search.vectors if _even(found.get(index)))
        if not even:
            return Uniformity(graph, block_size, pending, divergent, frozenset(search.vectors), found, blended)
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
            return False
        if base in _PER_LANE:
            return True
        if base in {"bar", "barrier"}:
            return False
        if base == "ld" and self._private_load(instruction):
            return True
        if base == "shfl":
            return True
        if any(isinstance(operand, Special) and _lane_special(operand.name) for operand in instruction.operands):
            return True
        return any(register.index in self.vectors for register in read(instruction))

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


def _lane_special(name: str) -> bool:
    return name in _LANE_SPECIALS or name.startswith("tid")


def _union(live: dict[int, int], blocks: int) -> int:
    total = 0
    while blocks:
        lowest = blocks & -blocks
        total |= live[lowest.bit_length() - 1]
        blocks ^= lowest
    return total


def _find_shapes(graph: Graph, block_size: Dim3, vectors: set[int], blended: dict[int, int]) -> dict[int, Shape | None]:
    """Compute shapes optimistically: a register has none yet, then what its definitions agree on."""
    found: dict[int, Shape | None] = {}
    for _ in range(_ROUNDS):
        changed = False
        for index in graph.order:
            keep = blended[index]
            for instruction in graph.blocks[index].instructions:
                for register in written(instruction):
                    changed |= _update(found, instruction, register, vectors, keep, block_size)
        if not changed:
            return found
    return {index: None if index in vectors else shapes.UNIFORM for index in found}


_ROUNDS = 40


def _update(
    found: dict[int, Shape | None],
    instruction: Instruction,
    register: Register,
    vectors: set[int],
    keep: int,
    block_size: Dim3,
) -> bool:
    number = register.index
    blends = keep >> number & 1 or instruction.predicate is not None
    if any(source.index not in found for source in read(instruction)) and number not in found:
        return False
    new = result_shape(instruction, found, block_size)
    if number not in vectors:
        new = new if new is not None and new.uniform and not blends else shapes.UNIFORM
    elif blends:
        new = None
    if number in found:
        new = shapes.join(found[number], new)
        if new == found[number]:
            return False
    found[number] = new
    return True


def operand_shape(operand: Operand, found: dict[int, Shape | None], block_size: Dim3) -> Shape | None:
    """Return the shape of an operand, given those of the registers."""
    if isinstance(operand, Register):
        return found.get(operand.index)
    if isinstance(operand, Immediate):
        return shapes.known(operand.value)
    if isinstance(operand, Symbol):
        return shapes.Shape(None, 1)
    if isinstance(operand, Special):
        return _special_shape(operand.name, block_size)
    return None


def _special_shape(name: str, block_size: Dim3) -> Shape | None:
    base, _, axis = name.partition(".")
    if base == "tid":
        return shapes.thread_shape(axis, block_size)
    if base == "ntid":
        return shapes.known(block_size["xyz".index(axis)])
    if name == "laneid":
        return shapes.known(0, tuple(range(shapes.WARP)))
    return None if _lane_special(name) else shapes.UNIFORM


def result_shape(instruction: Instruction, found: dict[int, Shape | None], block_size: Dim3) -> Shape | None:
    """Return the shape of what an instruction writes; None where nothing is known."""
    sources = [operand_shape(operand, found, block_size) for operand in instruction.operands[1:]]
    base = instruction.base
    if base in {"mov", "cvta"} and len(sources) == 1 and not _packs(instruction):
        return sources[0]
    if "f" in instruction.modifiers[-1][:1] or None in sources or not sources:
        return None
    given = [source for source in sources if source is not None]
    if base in {"mul", "mad"}:
        return _product(instruction, given)
    if base == "cvt":
        return _widened(instruction, given[0])
    return _integer_result(base, instruction, given)


def _packs(instruction: Instruction) -> bool:
    return len(registers_in(instruction.operands[0])) != 1 or not isinstance(
        instruction.operands[1], Register | Immediate | Special | Symbol
    )


def _integer_result(base: str, instruction: Instruction, given: list[Shape]) -> Shape | None:
    if base == "add" and len(given) == 2:  # noqa: PLR2004 - two sources
        return shapes.add(given[0], given[1])
    if base == "sub":
        return shapes.subtract(given[0], given[1])
    if base == "shl" and given[1].constant is not None and 0 <= given[1].constant < shapes.WARP:
        return shapes.multiply(given[0], shapes.known(1 << given[1].constant))
    if base == "shr":
        return shapes.shift_right(given[0], given[1])
    if base in _BITWISE:
        return shapes.bitwise(given[0], given[1], _BITWISE[base])
    if base in {"div", "rem"}:
        return _divided(base, given)
    return None


def _divided(base: str, given: list[Shape]) -> Shape | None:
    divisor = given[1].constant
    if divisor is None or divisor <= 0 or divisor & divisor - 1:
        return None
    if base == "div":
        return shapes.shift_right(given[0], shapes.known(divisor.bit_length() - 1))
    return shapes.bitwise(given[0], shapes.known(divisor - 1), operator.and_)


def _product(instruction: Instruction, given: list[Shape]) -> Shape | None:
    if "hi" in instruction.modifiers:
        return None
    product = shapes.multiply(given[0], given[1])
    if product is None:
        return None
    if "wide" in instruction.modifiers:
        product = _marked(product, given[:2])
    return shapes.add(product, given[2]) if instruction.base == "mad" else product


def _marked(shape: Shape, sources: list[Shape]) -> Shape | None:
    """Mark a widened shape; a base that is not known may have been near the narrow type's end."""
    if all(source.base is not None for source in sources):
        return shape if all(0 <= min(source.pattern) for source in sources) else None
    if shape.uniform:
        return shape
    return Shape(shape.base, shape.align, shape.pattern, wrapped=True)


def _widened(instruction: Instruction, source: Shape) -> Shape | None:
    wide, narrow = (modifier for modifier in instruction.modifiers[-2:])
    if not (wide[0] in "us" and narrow[0] in "us"):
        return None
    if int(wide[1:]) < int(narrow[1:]):
        return Shape(None, source.align, source.pattern) if int(wide[1:]) >= shapes.WARP else None
    return _marked(source, [source])
