"""The typed, immutable records that a PTX module is parsed into."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class ScalarType(StrEnum):
    """The fundamental types of PTX (ISA, 'Fundamental Types' and 'Packed Floating Point Data Types')."""

    B8 = "b8"
    B16 = "b16"
    B32 = "b32"
    B64 = "b64"
    B128 = "b128"
    U8 = "u8"
    U16 = "u16"
    U32 = "u32"
    U64 = "u64"
    S8 = "s8"
    S16 = "s16"
    S32 = "s32"
    S64 = "s64"
    F16 = "f16"
    F16X2 = "f16x2"
    BF16 = "bf16"
    BF16X2 = "bf16x2"
    F32 = "f32"
    F64 = "f64"
    PRED = "pred"

    @property
    def bits(self) -> int:
        """Width in bits; a predicate has one."""
        return _BITS[self]

    @property
    def signed(self) -> bool:
        """Whether it is a signed integer."""
        return self.value[0] == "s"

    @property
    def floating(self) -> bool:
        """Whether it is a floating-point type, packed ones included."""
        return self.value[0] == "f" or self.value[:2] == "bf"


_BITS = {
    kind: 1 if kind is ScalarType.PRED else 32 if kind.value.endswith("x2") else int(kind.value.lstrip("bsuf"))
    for kind in ScalarType
}


class Space(StrEnum):
    """State spaces that an address may belong to."""

    GENERIC = "generic"
    GLOBAL = "global"
    SHARED = "shared"
    LOCAL = "local"
    CONST = "const"
    PARAM = "param"


@dataclass(frozen=True, slots=True)
class Location:
    """A place in the user's source, from `.loc`; an inlined call is charged to the place that calls it."""

    file: str
    line: int


@dataclass(frozen=True, slots=True, eq=False)
class Register:
    """One virtual register of a function; identity is its own, scopes may reuse a name."""

    name: str
    type: ScalarType
    index: int


@dataclass(frozen=True, slots=True)
class Immediate:
    """An integer constant."""

    value: int


@dataclass(frozen=True, slots=True)
class FloatImmediate:
    """A floating-point constant by its bits; `width` is 32 or 64."""

    bits: int
    width: int


@dataclass(frozen=True, slots=True)
class Special:
    """A special register such as `%tid.x`, by its name without the per cent sign."""

    name: str


@dataclass(frozen=True, slots=True)
class Symbol:
    """The address of a named variable, or a label, or a function."""

    name: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Address:
    """A bracketed operand: a base and a byte offset."""

    base: Register | Symbol | Immediate
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Vector:
    """A braced operand."""

    items: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two destinations, `d|p`; either may be a sink."""

    first: Operand
    second: Operand


@dataclass(frozen=True, slots=True)
class Negated:
    """A predicate operand read through `!`."""

    register: Register


@dataclass(frozen=True, slots=True)
class Group:
    """A parenthesised list, as in `call`."""

    items: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Sink:
    """The `_` destination."""


Operand = Register | Immediate | FloatImmediate | Special | Symbol | Address | Vector | Pair | Negated | Group | Sink


@dataclass(frozen=True, slots=True, eq=False)
class Instruction:
    """One PTX instruction.

    `opcode` is the whole dotted name, `base` its first part and `modifiers` the others in order.
    `predicate` guards it, read through `!` where `negated`.
    """

    opcode: str
    base: str
    modifiers: tuple[str, ...]
    operands: tuple[Operand, ...]
    predicate: Register | None
    negated: bool
    line: int
    location: Location | None


@dataclass(frozen=True, slots=True)
class Label:
    """A place that branches name."""

    name: str


@dataclass(frozen=True, slots=True)
class Variable:
    """A declared variable of any state space. `size` is in bytes; None when it is an unsized extern array.

    `initial` holds the initialiser's bytes and `references` the 8-byte places in it that hold addresses.
    """

    name: str
    space: Space
    type: ScalarType
    size: int | None
    align: int
    initial: bytes = b""
    references: tuple[Reference, ...] = ()
    external: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """An address inside an initialiser."""

    offset: int
    symbol: Symbol


@dataclass(frozen=True, slots=True)
class Function:
    """An `.entry` or `.func` with its body; `body` is None for a bare declaration."""

    name: str
    entry: bool
    results: tuple[Variable, ...]
    params: tuple[Variable, ...]
    registers: tuple[Register, ...]
    variables: tuple[Variable, ...]
    body: tuple[Instruction | Label, ...] | None
    branch_targets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    max_threads: int | None = None
    """The product of `.maxntid` or `.reqntid`."""
    line: int = 0


@dataclass(frozen=True, slots=True)
class ModuleSyntax:
    """A parsed PTX module."""

    version: str
    target: str
    functions: tuple[Function, ...]
    variables: tuple[Variable, ...]
