"""What each instruction makes of its operands' shapes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from simgpu.analysis import shapes
from simgpu.analysis.operands import registers_in
from simgpu.analysis.shapes import Shape
from simgpu.ptx.syntax import Immediate, Instruction, Operand, Register, Special, Symbol
from simgpu.report import Dim3

_LANE_SPECIALS = frozenset({"laneid", "lanemask_eq", "lanemask_le", "lanemask_lt", "lanemask_ge", "lanemask_gt"})
_BITWISE: dict[str, Callable[[int, int], int]] = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}


def lane_special(name: str) -> bool:
    """Whether a special register differs between the lanes of a warp."""
    return name in _LANE_SPECIALS or name.startswith("tid")


@dataclass(frozen=True, slots=True)
class ShapeRules:
    """Shapes of operands and results in blocks of one size; `offsets` are the addresses of shared variables."""

    block_size: Dim3
    offsets: Mapping[str, int]

    def operand(self, operand: Operand, found: Mapping[int, Shape | None]) -> Shape | None:
        """Return the shape of an operand, given those of the registers."""
        if isinstance(operand, Register):
            return found.get(operand.index)
        if isinstance(operand, Immediate):
            return shapes.known(operand.value)
        if isinstance(operand, Symbol):
            place = self.offsets.get(operand.name)
            return shapes.UNIFORM if place is None else shapes.known(place + operand.offset)
        return self._special(operand.name) if isinstance(operand, Special) else None

    def _special(self, name: str) -> Shape | None:
        base, _, axis = name.partition(".")
        if base == "tid":
            return shapes.thread_shape(axis, self.block_size)
        if base == "ntid":
            return shapes.known(self.block_size["xyz".index(axis)])
        if name == "laneid":
            return shapes.known(0, tuple(range(shapes.WARP)))
        return None if lane_special(name) else shapes.UNIFORM

    def result(self, instruction: Instruction, found: Mapping[int, Shape | None]) -> Shape | None:
        """Return the shape of what an instruction writes; None where nothing is known."""
        sources = [self.operand(operand, found) for operand in instruction.operands[1:]]
        base = instruction.base
        if base in {"mov", "cvta"} and not _packs(instruction):
            return sources[0]
        given = [source for source in sources if source is not None]
        if not given or len(given) != len(sources) or (instruction.modifiers[-1][0] in "fb" and base not in _RAW):
            return None
        if base in {"mul", "mad"}:
            return _product(instruction, given)
        if base == "cvt":
            return _converted(instruction, given[0])
        return _integer_result(instruction, given)


_RAW = frozenset({"and", "or", "xor", "shl"})
"""Instructions that compute on bits without a type."""


def _packs(instruction: Instruction) -> bool:
    target, given = instruction.operands[:2]
    return len(registers_in(target)) != 1 or not isinstance(given, Register | Immediate | Special | Symbol)


def _integer_result(instruction: Instruction, given: list[Shape]) -> Shape | None:
    base, unsigned = instruction.base, instruction.modifiers[-1][0] != "s"
    second = given[1].constant if len(given) > 1 else None
    result = None
    if base == "add" and "sat" not in instruction.modifiers:
        result = shapes.add(given[0], given[1])
    elif base == "sub" and "sat" not in instruction.modifiers:
        result = shapes.subtract(given[0], given[1])
    elif base in _BITWISE:
        result = shapes.bitwise(given[0], given[1], _BITWISE[base])
    elif second is None:
        result = None
    elif base == "shl" and 0 <= second < shapes.WARP:
        result = shapes.multiply(given[0], shapes.known(1 << second))
    elif base == "shr":
        result = shapes.shift_right(given[0], second)
    elif base in {"div", "rem"} and unsigned and second > 0 and second & second - 1 == 0:
        if base == "div":
            result = shapes.shift_right(given[0], second.bit_length() - 1)
        else:
            result = shapes.bitwise(given[0], shapes.known(second - 1), operator.and_)
    return result


def _product(instruction: Instruction, given: list[Shape]) -> Shape | None:
    if {"hi", "sat"} & set(instruction.modifiers):
        return None
    product = shapes.multiply(given[0], given[1])
    if product is not None and "wide" in instruction.modifiers:
        product = _widened(product, given[:2], int(instruction.modifiers[-1][1:]))
    if product is None or instruction.base == "mul":
        return product
    return shapes.add(product, given[2])


def _converted(instruction: Instruction, source: Shape) -> Shape | None:
    wide, narrow = instruction.modifiers[-2:]
    if wide[0] not in "us" or narrow[0] not in "us" or "sat" in instruction.modifiers:
        return None
    if int(wide[1:]) > int(narrow[1:]):
        return _widened(source, [source], int(narrow[1:]))
    return Shape(None, source.align, source.pattern, source.wrapped) if int(wide[1:]) >= shapes.WARP else None


def _widened(shape: Shape, sources: list[Shape], bits: int) -> Shape | None:
    """Mark a widened shape: a base that is not known may have been near the narrow type's end."""
    if all(_plainly_small(source, bits) for source in sources):
        return shape
    if shape.uniform:
        return Shape(None, shape.align)
    return Shape(None, shape.align, shape.pattern, wrapped=True)


def _plainly_small(shape: Shape, bits: int) -> bool:
    """Whether every lane's value is known to be the same number, signed or not, in a type of so many bits."""
    if shape.base is None or shape.base + min(shape.pattern) < 0:
        return False
    return shape.base + max(shape.pattern) < 1 << min(bits, shapes.WARP) - 1
