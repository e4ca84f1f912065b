"""Which lanes of a register hold what nothing has written, followed from loads to where the value matters.

For each 32 bits of a register that may hold such a value there is a mask of lanes. Within a block of code a mask is
not computed: it is the set of the masks from which it comes, of loads mostly, and arithmetic joins sets without a trace
in the machine code. Masks become numbers where a value is used, where lanes part, and at the end of a block.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from simgpu.analysis.operands import read, registers_in, written
from simgpu.codegen.program import UseKind
from simgpu.codegen.values import WARP, Value, constant
from simgpu.ptx.syntax import Instruction, Operand, Register

if TYPE_CHECKING:
    from simgpu.codegen.context import Context


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A mask of lanes that the generated code has: a 32-bit value, or an element of a vector of them."""

    text: str
    width: int = 1
    element: int = 0


Lanes = frozenset[Part]
"""A mask of lanes: the union of its parts."""
NOWHERE: Lanes = frozenset()


def lanes_of(*masks: Value) -> Lanes:
    """Return the union of 32-bit values as a mask."""
    return frozenset(Part(mask.text) for mask in masks if mask.text != "0")


def elements_of(masks: Value) -> list[Lanes]:
    """Return the elements of a vector of 32-bit values, or the one value, as masks."""
    return [frozenset({Part(masks.text, masks.lanes, place)}) for place in range(masks.lanes)]


_WORD = 32
_FEW_PARTS, _MANY_PARTS = 4, 128
"""Parts of a set that is not computed yet: parts are numbers that occupy machine registers until then.

Where there are many loads, unrolled sums share their parts, and joining them late takes far less code.
"""


class Unwritten:
    """The masks of one function's registers, as far as its code is generated.

    Attributes
    ----------
    slots
        The entry block's lines that make room for masks that live longer than a block.
    """

    def __init__(self, context: Context, suspects: frozenset[int]) -> None:
        self._c = context
        self._suspects = suspects
        self._registers = {register.index: register for register in context.function.registers}
        self._most_parts = _MANY_PARTS if context.program.crowded else _FEW_PARTS
        self._known: dict[int, tuple[Lanes, ...]] = {}
        self._changed: set[int] = set()
        self._given: dict[int, tuple[Lanes, ...]] = {}
        self._numbers: dict[Lanes, Value] = {}
        self._usual = NOWHERE
        self._guard = NOWHERE
        self._outside: tuple[dict[int, tuple[Lanes, ...]], dict[Lanes, Value]] = ({}, {})
        self.slots: dict[str, str] = {}

    @property
    def followed(self) -> bool:
        """Whether any register may hold what nothing has written."""
        return bool(self._suspects)

    # What registers hold

    def words(self, operand: Operand) -> tuple[Lanes, ...]:
        """Return the lanes in which each 32 bits of a register are unwritten, the lowest first."""
        if not isinstance(operand, Register):
            return (NOWHERE,)
        index = operand.index
        if index not in self._suspects:
            return (NOWHERE,) * _words_of(operand)
        if index not in self._known:
            self._known[index] = tuple(
                lanes_of(self._c.e.load(self._slot(operand, word), "i32")) for word in range(_words_of(operand))
            )
        return self._known[index]

    def lanes(self, *operands: Operand) -> Lanes:
        """Return the lanes in which any register of some operands is unwritten."""
        registers = [register for operand in operands for register in registers_in(operand)]
        return self.joined(lanes for register in registers for lanes in self.words(register))

    def give(self, operand: Operand, words: Sequence[Lanes]) -> None:
        """Say what the present instruction leaves in a register, where that is not what its operands hold together."""
        if isinstance(operand, Register):
            count = _words_of(operand)
            whole = tuple(words) if len(words) == count else (self.joined(words),) * count
            self._given[operand.index] = whole

    # Instructions and blocks

    def begin(self, instruction: Instruction) -> None:
        """Note what an instruction's operands hold before it writes."""
        self._given = {}
        sources = read(instruction) if instruction.predicate is None else (*read(instruction), instruction.predicate)
        self._usual = self._guard = NOWHERE
        if instruction.predicate is not None and self._c.guard is not None:
            self._guard = self.lanes(instruction.predicate)
        if any(register.index in self._suspects for register in written(instruction)):
            self._usual = self.lanes(*sources)

    @property
    def usual(self) -> Lanes:
        """What the present instruction's operands hold together."""
        return self._usual

    def end(self, instruction: Instruction) -> None:
        """Note what the instruction has written."""
        for register in written(instruction):
            if register.index in self._suspects:
                words = self._given.get(register.index, (self._usual,) * _words_of(register))
                self._write(register, words)

    def begin_block(self) -> None:
        """Forget what a block before this one has computed."""
        self._known, self._changed, self._numbers = {}, set(), {}

    def end_block(self, live: int) -> None:
        """Keep the masks of registers that are read behind the block; `live` is the set of their indices."""
        kept = [self._registers[index] for index in sorted(self._changed) if live >> index & 1]
        masks = {lanes for register in kept for lanes in self.words(register) if lanes}
        self._join_alike(sorted(masks - self._numbers.keys(), key=sorted))
        for register in kept:
            self._keep(register)

    def _join_alike(self, masks: Sequence[Lanes]) -> None:
        """Compute masks that have parts in common: parts that come together everywhere are joined once for all."""
        places: defaultdict[Part, list[int]] = defaultdict(list)
        for place, lanes in enumerate(masks):
            for part in lanes:
                places[part].append(place)
        together: defaultdict[tuple[int, ...], list[Part]] = defaultdict(list)
        for part in sorted(places):
            together[tuple(places[part])].append(part)
        joined: list[list[Value]] = [[] for _ in masks]
        vectors: dict[Lanes, Value] = {}
        for holders, parts in together.items():
            whole = self._union(parts, vectors)
            for place in holders:
                joined[place].append(whole)
        for lanes, wholes in zip(masks, joined, strict=True):
            self._numbers[lanes] = self._ored(wholes)

    def begin_branch(self, instruction: Instruction) -> None:
        """Prepare for an instruction that is jumped over where no lane executes it."""
        for register in written(instruction):
            if register.index in self._changed:
                self._keep(register)
        self._outside = (dict(self._known), dict(self._numbers))

    def end_branch(self, instruction: Instruction) -> None:
        """Keep what the instruction wrote, before the ways meet again; what was computed for it is not known there."""
        targets = [register for register in written(instruction) if register.index in self._suspects]
        for register in targets:
            self._keep(register)
        self._known, self._numbers = self._outside
        for register in targets:
            self._known.pop(register.index, None)
            self._changed.discard(register.index)

    def _write(self, register: Register, words: Sequence[Lanes]) -> None:
        chosen = self._chosen(register)
        if chosen is not None:
            words = [self._blended(chosen, new, old) for new, old in zip(words, self.words(register), strict=True)]
        self._known[register.index] = tuple(self.joined((lanes, self._guard)) for lanes in words)
        self._changed.add(register.index)

    def _chosen(self, register: Register) -> Value | None:
        """Return the lanes that a write changes, None for all, as `Context` has it for the value."""
        c = self._c
        uniform = c.lanes_of(register) == 1
        keeps = not uniform and bool(c.keep >> register.index & 1) and not c.full
        if c.guard is None:
            return c.bits() if keeps else None
        if c.guard.lanes == 1 or uniform:
            running = c.bits() if keeps else constant("i32", -1)
            return c.e.select(c.e.extract(c.guard, 0), running, constant("i32", 0))
        return c.bits(c.both(c.mask, c.guard) if keeps else c.guard)

    def _blended(self, chosen: Value, new: Lanes, old: Lanes) -> Lanes:
        if new == old:
            return new
        parts = []
        if new:
            parts.append(self._c.e.binary("and", self.number(new), chosen))
        if old:
            parts.append(self._c.e.binary("and", self.number(old), self._c.e.number("xor", chosen, -1)))
        return lanes_of(*parts)

    def _keep(self, register: Register) -> None:
        for word, lanes in enumerate(self.words(register)):
            self._c.e.store(self.number(lanes), self._slot(register, word))

    def _slot(self, register: Register, word: int) -> Value:
        name = f"%u{register.index}.{word}"
        self.slots.setdefault(name, f"  {name} = alloca i32\n  store i32 0, ptr {name}")
        return Value(name, "ptr", 1)

    # Masks

    def joined(self, parts: Iterable[Lanes]) -> Lanes:
        """Return the union of masks."""
        return self._bounded(NOWHERE.union(*parts))

    def _bounded(self, lanes: Lanes) -> Lanes:
        return lanes if len(lanes) <= self._most_parts else lanes_of(self.number(lanes))

    def number(self, lanes: Lanes) -> Value:
        """Return a mask as 32 bits."""
        if lanes not in self._numbers:
            self._numbers[lanes] = self._union(lanes, {}) if lanes else constant("i32", 0)
        return self._numbers[lanes]

    def _union(self, lanes: Iterable[Part], vectors: dict[Lanes, Value]) -> Value:
        """Compute a mask; `vectors` keeps the unions of whole vectors, from which other masks may take elements."""
        values = [Value(part.text, "i32", 1) for part in sorted(lanes) if part.width == 1]
        elements: defaultdict[tuple[int, int], list[Part]] = defaultdict(list)
        for part in sorted(lanes):
            if part.width > 1:
                elements[part.width, part.element].append(replace(part, element=0))
        for (width, element), parts in elements.items():
            key = frozenset(parts)
            if key not in vectors:
                vectors[key] = self._ored([Value(part.text, "i32", width) for part in parts])
            values.append(self._c.e.extract(vectors[key], element))
        return self._ored(values)

    def _ored(self, values: Sequence[Value]) -> Value:
        first = values[0]
        for other in values[1:]:
            first = self._c.e.binary("or", first, other)
        return first

    def everywhere(self, lanes: Lanes) -> Lanes:
        """Return all lanes where any that runs is in a mask: what instructions make that look at the whole warp."""
        if not lanes:
            return NOWHERE
        c, here = self._c, self.number(lanes)
        some = c.e.compare("icmp ne", here if c.full else c.e.binary("and", here, c.bits()), constant("i32", 0))
        return lanes_of(c.e.select(some, constant("i32", -1), constant("i32", 0)))

    def moved(self, lanes: Lanes, sources: Value) -> Lanes:
        """Return what each lane gets from the lane that `sources` names."""
        if not lanes:
            return NOWHERE
        c, here = self._c, self.number(lanes)
        here = here if c.full else c.e.binary("and", here, c.bits())
        bits = c.e.binary("lshr", c.e.splat(here, WARP), sources)
        return lanes_of(c.bits(c.e.cast("trunc", bits, "i1")))

    # Uses

    def use(self, instruction: Instruction, operands: Iterable[Operand], kind: UseKind) -> None:
        """Report lanes that run in which an operand is unwritten, where the program's course hangs on it."""
        given = tuple(operands)
        lanes = self.lanes(*given)
        if not lanes:
            return
        c, some = self._c, self.number(lanes)
        site = self.use_site(instruction, given, kind)

        def report() -> Sequence[Value]:
            here = some if c.full else c.e.binary("and", some, c.bits())
            c.e.call("sgpu_use_unwritten", None, c.worker, site, here)
            return ()

        c.rarely(c.e.compare("icmp ne", some, constant("i32", 0)), report)

    def use_site(self, instruction: Instruction, operands: Iterable[Operand], kind: UseKind) -> Value:
        """Give the use of operands its number."""
        registers = tuple(register for operand in operands for register in registers_in(operand))
        return constant("i32", self._c.program.use_site(instruction, self._c.function, registers, kind))


def _words_of(register: Register) -> int:
    return max(register.type.bits // _WORD, 1)
