"""Values of LLVM's intermediate representation, and the emitter that writes it as text.

Text is written directly because it is several times faster than building llvmlite's objects, and because
a lowering is the same for one lane and for 32: only the printed type differs.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

WARP = 32


@dataclass(frozen=True, slots=True)
class Value:
    """An operand of LLVM code: its text, its element type (`i32`, `float`, ...) and its lanes (1 is a scalar)."""

    text: str
    element: str
    lanes: int

    @property
    def type(self) -> str:
        """The LLVM type."""
        return self.element if self.lanes == 1 else f"<{self.lanes} x {self.element}>"

    @property
    def typed(self) -> str:
        """Type and text, as an operand is written."""
        return f"{self.type} {self.text}"

    @property
    def bits(self) -> int:
        """Bits of one lane."""
        return ELEMENT_BITS[self.element]


ELEMENT_BITS = {
    "i1": 1, "i8": 8, "i16": 16, "i32": 32, "i64": 64, "i128": 128, "half": 16, "float": 32, "double": 64, "ptr": 64,
}  # fmt: skip
_INTRINSIC_NAMES = {"half": "f16", "float": "f32", "double": "f64", "ptr": "p0"}


def constant(element: str, number: float, lanes: int = 1) -> Value:
    """Return a constant, the same in all lanes; a float's number is its value, rounded to the type."""
    if element in {"float", "double"}:
        exact = struct.unpack("<f", struct.pack("<f", number))[0] if element == "float" else float(number)
        text = f"0x{int.from_bytes(struct.pack('<d', exact), 'little'):016X}"
    elif element == "half":
        text = f"0xH{int.from_bytes(struct.pack('<e', number), 'little'):04X}"
    elif element == "i1":
        text = "true" if number else "false"
    else:
        text = str(number)
    return Value(text if lanes == 1 else f"splat ({element} {text})", element, lanes)


def pattern(element: str, numbers: Sequence[int]) -> Value:
    """Return a constant vector of integers."""
    if element == "i1":
        words = ", ".join("i1 true" if number else "i1 false" for number in numbers)
    else:
        words = ", ".join(f"{element} {number}" for number in numbers)
    return Value(f"<{words}>", element, len(numbers))


class Emitter:
    """Collects the text of one LLVM function."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.block = "entry"
        """The open block's name."""
        self.declarations: set[str] = set()
        self._count = 0

    def name(self, stem: str = "v") -> str:
        """Return a fresh name."""
        self._count += 1
        return f"%{stem}{self._count}"

    def label(self, stem: str) -> str:
        """Return a fresh block name, without its per cent sign."""
        self._count += 1
        return f"{stem}{self._count}"

    def line(self, text: str) -> None:
        """Write an instruction that gives no value."""
        self.lines.append(f"  {text}")

    def start(self, label: str) -> None:
        """Begin a block."""
        self.lines.append(f"{label}:")
        self.block = label

    def value(self, text: str, element: str, lanes: int) -> Value:
        """Write an instruction that gives a value."""
        name = self.name()
        self.lines.append(f"  {name} = {text}")
        return Value(name, element, lanes)

    def align(self, *values: Value) -> tuple[Value, ...]:
        """Broadcast scalars where any operand is a vector."""
        lanes = max(value.lanes for value in values)
        return tuple(value if value.lanes == lanes else self.splat(value, lanes) for value in values)

    def splat(self, value: Value, lanes: int = WARP) -> Value:
        """Broadcast a scalar to all lanes."""
        if value.lanes == lanes:
            return value
        if value.text[0] not in "%@":
            return Value(f"splat ({value.element} {value.text})", value.element, lanes)
        one = self.value(
            f"insertelement <{lanes} x {value.element}> poison, {value.typed}, i64 0", value.element, lanes
        )
        return self.value(
            f"shufflevector {one.typed}, {one.type} poison, <{lanes} x i32> zeroinitializer", value.element, lanes
        )

    def binary(self, operation: str, first: Value, second: Value) -> Value:
        """Write a two-operand arithmetic instruction."""
        first, second = self.align(first, second)
        return self.value(f"{operation} {first.typed}, {second.text}", first.element, first.lanes)

    def number(self, operation: str, first: Value, number: int) -> Value:
        """Write a two-operand integer instruction whose second operand is a constant."""
        return self.binary(operation, first, constant(first.element, number, first.lanes))

    def compare(self, operation: str, first: Value, second: Value) -> Value:
        """Write `icmp` or `fcmp`; `operation` holds both words."""
        first, second = self.align(first, second)
        return self.value(f"{operation} {first.typed}, {second.text}", "i1", first.lanes)

    def unary(self, operation: str, value: Value) -> Value:
        """Write a one-operand instruction of the same type."""
        return self.value(f"{operation} {value.typed}", value.element, value.lanes)

    def cast(self, operation: str, value: Value, element: str) -> Value:
        """Write a conversion to another element type; none when it is there already."""
        if value.element == element:
            return value
        target = element if value.lanes == 1 else f"<{value.lanes} x {element}>"
        return self.value(f"{operation} {value.typed} to {target}", element, value.lanes)

    def resize(self, value: Value, element: str, *, signed: bool = False) -> Value:
        """Truncate or extend an integer."""
        bits = ELEMENT_BITS[element]
        if bits == value.bits:
            return value
        if bits < value.bits:
            return self.cast("trunc", value, element)
        return self.cast("sext" if signed else "zext", value, element)

    def select(self, condition: Value, first: Value, second: Value) -> Value:
        """Choose per lane; a scalar condition chooses for all."""
        if condition.lanes == 1:
            first, second = self.align(first, second)
        else:
            condition, first, second = self.align(condition, first, second)
        return self.value(f"select {condition.typed}, {first.typed}, {second.typed}", first.element, first.lanes)

    def intrinsic(self, name: str, *values: Value, extra: str = "", result: str | None = None) -> Value:
        """Call an LLVM intrinsic overloaded on its first operand's type; `extra` are further typed operands."""
        values = self.align(*values)
        first = values[0]
        element = result or first.element
        suffix = _overload(first.element, first.lanes)
        if result is not None:
            suffix = f"{_overload(element, first.lanes)}.{suffix}"
        target = Value("", element, first.lanes).type
        kinds = ", ".join(value.type for value in values) + (f", {extra.split(maxsplit=1)[0]}" if extra else "")
        self.declarations.add(f"declare {target} @llvm.{name}.{suffix}({kinds})")
        words = ", ".join(value.typed for value in values) + (f", {extra}" if extra else "")
        return self.value(f"call {target} @llvm.{name}.{suffix}({words})", element, first.lanes)

    def reduce(self, name: str, vector: Value) -> Value:
        """Reduce a vector of integers to a scalar by LLVM's `vector.reduce`."""
        suffix = _overload(vector.element, vector.lanes)
        self.declarations.add(f"declare {vector.element} @llvm.vector.reduce.{name}.{suffix}({vector.type})")
        return self.value(
            f"call {vector.element} @llvm.vector.reduce.{name}.{suffix}({vector.typed})", vector.element, 1
        )

    def call(self, name: str, result: Value | None, *values: Value | str) -> Value:
        """Call a function of the runtime; `result` gives the type and is otherwise unused."""
        words = ", ".join(value if isinstance(value, str) else value.typed for value in values)
        kinds = ", ".join(value.split()[0] if isinstance(value, str) else value.type for value in values)
        kind = "void" if result is None else result.type
        self.declarations.add(f"declare {kind} @{name}({kinds})")
        if result is None:
            self.line(f"call void @{name}({words})")
            return Value("", "void", 1)
        return self.value(f"call {kind} @{name}({words})", result.element, result.lanes)

    def extract(self, vector: Value, lane: int | Value) -> Value:
        """Take one lane; a scalar is its own lane."""
        if vector.lanes == 1:
            return vector
        index = f"i64 {lane}" if isinstance(lane, int) else lane.typed
        return self.value(f"extractelement {vector.typed}, {index}", vector.element, 1)

    def shuffle(self, vector: Value, sources: Sequence[int], other: Value | None = None) -> Value:
        """Permute lanes by constant indices."""
        words = ", ".join(f"i32 {source}" for source in sources)
        second = "poison" if other is None else other.text
        return self.value(
            f"shufflevector {vector.typed}, {vector.type} {second}, <{len(sources)} x i32> <{words}>",
            vector.element,
            len(sources),
        )

    def reinterpret(self, value: Value, element: str) -> Value:
        """Read the bits as another element type, of the same or another width."""
        if value.element == element:
            return value
        lanes = value.lanes * value.bits // ELEMENT_BITS[element]
        return self.value(f"bitcast {value.typed} to {Value('', element, lanes).type}", element, lanes)

    def address(self, base: Value, offset: Value | int) -> Value:
        """Add a byte offset to a pointer (or to pointers, lane by lane)."""
        step = constant("i64", offset) if isinstance(offset, int) else offset
        lanes = max(base.lanes, step.lanes)
        return self.value(f"getelementptr i8, {base.typed}, {step.typed}", "ptr", lanes)

    def load(self, pointer: Value, element: str, lanes: int = 1, align: int | None = None) -> Value:
        """Load a scalar or a vector from consecutive memory."""
        kind = Value("", element, lanes).type
        bytes_ = align or max(ELEMENT_BITS[element] // 8, 1)
        return self.value(f"load {kind}, {pointer.typed}, align {bytes_}", element, lanes)

    def store(self, value: Value, pointer: Value, align: int | None = None) -> None:
        """Store a scalar or a vector to consecutive memory."""
        self.line(f"store {value.typed}, {pointer.typed}, align {align or max(value.bits // 8, 1)}")


def _overload(element: str, lanes: int) -> str:
    name = _INTRINSIC_NAMES.get(element, element)
    return name if lanes == 1 else f"v{lanes}{name}"
