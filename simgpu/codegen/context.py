"""What a lowering works with: operands in, results out, under the mask of the lanes that run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simgpu.analysis.shapes import Shape, add, known
from simgpu.analysis.uniformity import Uniformity
from simgpu.analysis.unwritten import merging_loads, suspects
from simgpu.codegen.program import RESERVED_SHARED, Program
from simgpu.codegen.unwritten import Unwritten
from simgpu.codegen.values import ELEMENT_BITS, WARP, Emitter, Value, constant, pattern
from simgpu.errors import UnplacedError, UnsupportedError
from simgpu.ptx.declarations import float_bits
from simgpu.ptx.syntax import (
    Address,
    FloatImmediate,
    Function,
    Immediate,
    Instruction,
    Negated,
    Operand,
    Register,
    ScalarType,
    Sink,
    Space,
    Special,
    Symbol,
)
from simgpu.refusal import refused
from simgpu.runtime import state

FULL = Value("splat (i1 true)", "i1", WARP)
_FLOAT_ELEMENTS = {ScalarType.F16: "half", ScalarType.F32: "float", ScalarType.F64: "double"}

_CONSTANT_SPECIALS = {
    "warpid": Value("%warp", "i32", 1),
    "smid": constant("i32", 0),
    "nsmid": constant("i32", 1),
    "gridid": constant("i64", 0),
    # No workspace of a cooperative launch; the stand-in runtime writes the real one's address into the text.
    "envreg1": constant("i32", 0),
    "envreg2": constant("i32", 0),
    "cluster_ctarank": constant("i32", 0),
    "cluster_nctarank": constant("i32", 1),
    "is_explicit_cluster": constant("i1", 0),
}
_FIELD_SPECIALS = {"nwarpid": "warps", "dynamic_smem_size": "dynamic_shared", "total_smem_size": "shared_size"}
_CLOCKS = frozenset({"clock", "clock64", "clock_hi", "globaltimer", "globaltimer_lo", "globaltimer_hi"})


def integer_element(kind: ScalarType) -> str:
    """Return the integer element type of a PTX type's width."""
    return f"i{kind.bits}"


def element_of(kind: ScalarType) -> str:
    """Return the LLVM element type that computes on a PTX type; bfloat and packed types stay bits."""
    return _FLOAT_ELEMENTS.get(kind) or integer_element(kind)


class Context:
    """The state of code generation within one function."""

    def __init__(self, program: Program, function: Function, uniformity: Uniformity) -> None:
        self.e = Emitter()
        self.program = program
        self.function = function
        self.uniformity = uniformity
        self.merging = merging_loads(function) if program.follows else frozenset()
        """Loads that may read what nothing has written, since they only replace some bits of it."""
        self.unwritten = Unwritten(self, self._suspects())
        """Which registers hold what nothing has written."""
        self.variables = {variable.name: variable for variable in function.variables}
        self.worker = Value("%w", "ptr", 1)
        self.frame = constant("i64", 0) if function.entry else Value("%frame", "i64", 1)
        """How far local memory of functions that call themselves is used up."""
        self.entry_mask = FULL
        self.mask = FULL
        """The lanes that execute the present instruction."""
        self.live = FULL
        """The lanes that have not left the kernel."""
        self.guard: Value | None = None
        """The predicate of a pure predicated instruction; results keep their old values where it is false."""
        self.keep = 0
        """Registers whose writes must keep the values of lanes outside the mask."""
        self._held: dict[int, dict[str, Value]] = {}
        """What is known of registers in the open block of the generated code, by element type."""
        self._open = (self.e, "")
        self.fields: dict[str, str] = {}
        """The entry block's loads of the worker's fields, by the name of the value."""
        self.locations: dict[str, Value] = {}
        """Pointers to `.param` variables."""

    def _suspects(self) -> frozenset[int]:
        if not self.program.follows:
            return frozenset()
        function = self.function
        passing = [variable for variable in function.variables if variable.space is Space.PARAM]
        if not function.entry:
            passing += [*function.results, *function.params]
        return suspects(function, {variable.name for variable in passing}, self.merging)

    # Masks

    @property
    def full(self) -> bool:
        """Whether all 32 lanes are known to run."""
        return self.mask == FULL

    def bits(self, mask: Value | None = None) -> Value:
        """Return a mask as 32 bits."""
        chosen = self.mask if mask is None else mask
        if chosen == FULL:
            return constant("i32", -1)
        return self.e.value(f"bitcast <32 x i1> {chosen.text} to i32", "i32", 1)

    def vector_mask(self, bits: Value) -> Value:
        """Return 32 bits as a mask."""
        return self.e.value(f"bitcast i32 {bits.text} to <32 x i1>", "i1", WARP)

    def first_lane(self) -> Value:
        """Return the lowest lane that runs."""
        if self.full:
            return constant("i32", 0)
        return self.e.intrinsic("cttz", self.bits(), extra="i1 true")

    def rarely(self, condition: Value, compute: Callable[[], Sequence[Value]]) -> list[Value]:
        """Generate what runs only if a condition holds, which it seldom does; return its results, else zeros."""
        here, look, go = self.e.block, self.e.label("look"), self.e.label("go")
        self.e.line(f"br i1 {condition.text}, label %{look}, label %{go}, !prof !0")
        self.e.start(look)
        found, end = compute(), self.e.block
        self.e.line(f"br label %{go}")
        self.e.start(go)
        zero = "zeroinitializer"
        return [
            self.e.value(
                f"phi {one.type} [ {zero if one.lanes > 1 else 0}, %{here} ], [ {one.text}, %{end} ]",
                one.element,
                one.lanes,
            )
            for one in found
        ]

    def any(self, mask: Value) -> Value:
        """Return whether any lane of a mask is set."""
        return self.e.compare("icmp ne", self.bits(mask), constant("i32", 0))

    def both(self, first: Value, second: Value) -> Value:
        """Return the intersection of masks; a scalar stands for all lanes."""
        if first == FULL:
            return self.e.splat(second)
        return self.e.binary("and", first, second)

    # Functions beside the one that is generated

    def outlined(
        self,
        name: str,
        results: Sequence[Value],
        inputs: Sequence[Value],
        body: Callable[[Sequence[Value]], Sequence[Value]],
    ) -> list[Value]:
        """Call what `body` generates from the inputs, as a function of its own: code shared by many places.

        Parameters
        ----------
        name
            Tells all that the code depends on besides the inputs; each name is generated once for each kernel.
        results
            Give the types.
        body
            Generates code that reads the given values and the worker, and returns the results. It may set the mask,
            which is all lanes at first.
        """
        kind = ", ".join(value.type for value in results)
        kind = f"{{ {kind} }}" if len(results) > 1 else kind or "void"
        if name not in self.program.support:
            self.program.support[name] = self._function(name, kind, inputs, body)
        if not results:
            self.e.call(name, None, self.worker, *inputs)
            return []
        given = ", ".join(value.typed for value in (self.worker, *inputs))
        whole = self.e.value(f"call {kind} @{name}({given})", results[0].element, results[0].lanes)
        if len(results) == 1:
            return [whole]
        return [
            self.e.value(f"extractvalue {kind} {whole.text}, {place}", value.element, value.lanes)
            for place, value in enumerate(results)
        ]

    def _function(
        self, name: str, kind: str, inputs: Sequence[Value], body: Callable[[Sequence[Value]], Sequence[Value]]
    ) -> str:
        around, kept = self.e, (self.e, self.fields, self.mask)
        self.e, self.fields, self.mask = Emitter(), {}, FULL
        values = [Value(f"%in{place}", value.element, value.lanes) for place, value in enumerate(inputs)]
        results = body(values)
        joined = Value("poison", "", 1)
        for place, value in enumerate(results if len(results) > 1 else ()):
            joined = self.e.value(f"insertvalue {kind} {joined.text}, {value.typed}, {place}", "", 1)
        text = joined.text if len(results) > 1 else "".join(value.text for value in results)
        self.e.line(f"ret {kind} {text}")
        lines = "\n".join(["entry:", *self.fields.values(), *self.e.lines])
        around.declarations |= self.e.declarations
        self.e, self.fields, self.mask = kept
        given = ", ".join(["ptr %w", *(value.typed for value in values)])
        return f"define internal {kind} @{name}({given}) noinline #0 {{\n{lines}\n}}\n"

    # Registers

    def slot(self, register: Register) -> Value:
        """Return the stack slot of a register."""
        return Value(f"%r{register.index}", "ptr", 1)

    def lanes_of(self, register: Register) -> int:
        """Return 1 for a uniform register, 32 for another."""
        return 1 if self.uniformity.is_uniform(register) else WARP

    def fetch(self, register: Register) -> Value:
        """Return a register's bits."""
        held, element = self._values(register), integer_element(register.type)
        if element not in held:
            held[element] = self.e.load(self.slot(register), element, self.lanes_of(register))
        return held[element]

    def _read(self, register: Register, kind: ScalarType) -> Value:
        if register.type.bits != kind.bits:
            return self.as_kind(self.fetch(register), kind)
        held, element = self._values(register), element_of(kind)
        if element not in held:
            held[element] = self.as_kind(self.fetch(register), kind)
        return held[element]

    def _values(self, register: Register) -> dict[str, Value]:
        """Return what the open block of code has already loaded or computed for a register."""
        if self._open != (self.e, self.e.block):
            self._open, self._held = (self.e, self.e.block), {}
        return self._held.setdefault(register.index, {})

    def source(self, operand: Operand, kind: ScalarType) -> Value:
        """Return an operand as a value of a PTX type; registers may be wider than the type."""
        if isinstance(operand, Register):
            return self._read(operand, kind)
        if isinstance(operand, Negated):
            value = self.fetch(operand.register)
            return self.e.number("xor", value, 1)
        if isinstance(operand, Immediate):
            return self._immediate(operand.value, kind)
        if isinstance(operand, FloatImmediate):
            return self._float_immediate(operand, kind)
        if isinstance(operand, Special):
            value = self.special(operand.name)
            return self.e.resize(value, integer_element(kind)) if not kind.floating else self.as_kind(value, kind)
        if isinstance(operand, Symbol):
            return self.e.resize(self.symbol_address(operand), integer_element(kind))
        raise UnplacedError(f"operand {operand} as {kind}")

    def as_kind(self, value: Value, kind: ScalarType) -> Value:
        """Read bits as a PTX type, the low ones if there are more."""
        width = integer_element(kind)
        if value.bits > kind.bits:
            value = self.e.cast("trunc", value, width)
        elif value.bits < kind.bits:
            value = self.e.cast("zext", value, width)
        return self.e.cast("bitcast", value, element_of(kind))

    def _immediate(self, number: int, kind: ScalarType) -> Value:
        if kind in _FLOAT_ELEMENTS:
            return self.float_constant(number % (1 << kind.bits), kind)
        if kind is ScalarType.PRED:
            return constant("i1", number)
        bits = kind.bits
        number %= 1 << bits
        return constant(f"i{bits}", number - (1 << bits) if number >> bits - 1 else number)

    def _float_immediate(self, operand: FloatImmediate, kind: ScalarType) -> Value:
        if kind in {ScalarType.F32, ScalarType.F64}:
            return self.float_constant(float_bits(operand, kind.bits), kind)
        if kind.bits == operand.width:
            return self._immediate(operand.bits, kind)
        raise UnplacedError(f"floating-point constant as {kind}")

    def float_constant(self, bits: int, kind: ScalarType) -> Value:
        """Return a floating-point constant by its bits."""
        element = element_of(kind)
        return Value(f"bitcast (i{kind.bits} {bits} to {element})", element, 1)

    def result(self, operand: Operand, value: Value) -> None:
        """Write a value to a destination: a register, or a sink."""
        if isinstance(operand, Sink):
            return
        if not isinstance(operand, Register):
            raise UnplacedError(f"destination {operand}")
        raw = self.e.cast("bitcast", value, f"i{value.bits}")
        raw = self.e.resize(raw, integer_element(operand.type))
        self._store(operand, raw)
        held = self._values(operand)
        if held[raw.element] == raw and value.bits == raw.bits:
            held[value.element] = value

    def extended_result(self, operand: Operand, value: Value, *, signed: bool) -> None:
        """Write an integer to a register that may be wider, with its sign where it has one."""
        if isinstance(operand, Register):
            value = self.e.resize(value, integer_element(operand.type), signed=signed)
        self.result(operand, value)

    def _store(self, register: Register, value: Value) -> None:
        lanes = self.lanes_of(register)
        if lanes == 1:
            value = self.e.extract(value, 0)
            if self.guard is not None:
                value = self.e.select(self.e.extract(self.guard, 0), value, self.fetch(register))
        else:
            value = self.e.splat(value)
            value = self._blend(register, value)
        self.e.store(value, self.slot(register))
        held = self._values(register)
        held.clear()
        held[value.element] = value

    def _blend(self, register: Register, value: Value) -> Value:
        keeps = bool(self.keep >> register.index & 1)
        chosen = self.mask if keeps and self.mask != FULL else None
        if self.guard is not None:
            guard = self.guard
            chosen = guard if chosen is None else self.both(chosen, guard)
        return value if chosen is None else self.e.select(chosen, value, self.fetch(register))

    # Names

    def field(self, name: str, element: str, index: int = 0) -> Value:
        """Return a field of the worker's state that no instruction changes; it is loaded once, at entry."""
        value = Value(f"%w.{name}.{index}", element, 1)
        place = state.offset(name) + index * ELEMENT_BITS[element] // 8
        self.fields[value.text] = (
            f"  {value.text}.p = getelementptr i8, ptr %w, i64 {place}\n"
            f"  {value.text} = load {element}, ptr {value.text}.p"
        )
        return value

    def symbol_address(self, symbol: Symbol) -> Value:
        """Return a variable's address in its own state space, as 64 bits."""
        name, program = symbol.name, self.program
        if name in program.shared:
            return constant("i64", program.shared[name] + symbol.offset)
        if (self.function.name, name) in program.local:
            place = constant("i64", program.local[self.function.name, name] + symbol.offset)
            return self.e.binary("add", self.frame, place) if self.function.name in program.frames else place
        if name in program.addresses:
            return constant("i64", program.addresses[name])
        if name in program.pointers:
            table = self.field("globals", "ptr")
            base = self.e.load(self.e.address(table, 8 * program.pointers[name]), "i64")
            return self.e.number("add", base, symbol.offset)
        offset = 0
        for variable in self.function.params if self.function.entry else ():
            offset = -(-offset // variable.align) * variable.align
            if variable.name == name:
                return self.e.number("add", self.field("params", "i64"), offset + symbol.offset)
            offset += variable.size or 0
        raise UnplacedError(f"address of {name}")

    def symbol_space(self, name: str) -> Space | None:
        """Return the state space of a variable; None for a name that is no variable with an address."""
        if name in self.program.shared:
            return Space.SHARED
        if (self.function.name, name) in self.program.local:
            return Space.LOCAL
        return Space.GLOBAL if name in self.program.pointers else None

    def address(self, operand: Address) -> Value:
        """Return an address operand as 64-bit numbers in its own state space."""
        base = operand.base
        if isinstance(base, Symbol):
            return self.symbol_address(Symbol(base.name, operand.offset))
        if isinstance(base, Immediate):
            return constant("i64", base.value + operand.offset)
        value = self.fetch(base)
        if operand.offset:
            value = self.e.number("add", value, operand.offset)
        return self.e.resize(value, "i64")

    def shape(self, operand: Operand) -> Shape | None:
        """Return what is known of an operand across lanes."""
        if not isinstance(operand, Address):
            return self.uniformity.shape(operand)
        shape = self.uniformity.shape(operand.base)
        return None if shape is None else add(shape, known(operand.offset))

    # Special registers

    def lane_ids(self) -> Value:
        """Return the numbers 0 to 31."""
        return pattern("i32", range(WARP))

    def special(self, name: str) -> Value:
        """Return a special register's value."""
        base, _, axis = name.partition(".")
        if axis and base in {"tid", "ntid", "ctaid", "nctaid"}:
            return self._geometry(base, "xyz".index(axis))
        if axis and base in {"clusterid", "nclusterid"}:
            return self._geometry("ctaid" if base == "clusterid" else "nctaid", "xyz".index(axis))
        if axis and base in {"cluster_ctaid", "cluster_nctaid"}:
            return constant("i32", int(base == "cluster_nctaid"))
        return self._other_special(name)

    def _geometry(self, base: str, axis: int) -> Value:
        block = self.program.variant.block
        if base == "ntid":
            return constant("i32", block[axis])
        if base in {"ctaid", "nctaid"}:
            return self.field("ctaid" if base == "ctaid" else "grid", "i32", axis)
        linear = self.thread_ids()
        width, height, _ = block
        if axis == 0:
            return linear if block[1] * block[2] == 1 else self.e.number("urem", linear, width)
        row = self.e.number("udiv", linear, width)
        return self.e.number("urem", row, height) if axis == 1 else self.e.number("udiv", row, height)

    def thread_ids(self) -> Value:
        """Return each lane's thread number in its block."""
        if self.program.variant.threads <= WARP:
            return self.lane_ids()
        first = self.e.number("shl", Value("%warp", "i32", 1), 5)
        return self.e.binary("or", first, self.lane_ids())

    def _other_special(self, name: str) -> Value:
        lanes = range(WARP)
        patterns = {
            "laneid": list(lanes),
            "lanemask_eq": [1 << lane for lane in lanes],
            "lanemask_lt": [(1 << lane) - 1 for lane in lanes],
            "lanemask_le": [(2 << lane) - 1 for lane in lanes],
            "lanemask_gt": [0xFFFFFFFF & ~((2 << lane) - 1) for lane in lanes],
            "lanemask_ge": [0xFFFFFFFF & ~((1 << lane) - 1) for lane in lanes],
        }
        if name in patterns:
            return pattern("i32", patterns[name])
        if name in _CONSTANT_SPECIALS:
            return _CONSTANT_SPECIALS[name]
        if name in _FIELD_SPECIALS:
            return self.field(_FIELD_SPECIALS[name], "i32")
        if f"%{name}" == RESERVED_SHARED:
            return constant("i32", self.program.shared[RESERVED_SHARED])
        if name in _CLOCKS:
            return self._clock(name)
        raise UnplacedError(f"special register %{name}")

    def _clock(self, name: str) -> Value:
        self.e.declarations.add("declare i64 @llvm.readcyclecounter()")
        ticks = self.e.value("call i64 @llvm.readcyclecounter()", "i64", 1)
        if name.endswith("_hi"):
            return self.e.cast("trunc", self.e.number("lshr", ticks, 32), "i32")
        return ticks if name in {"clock64", "globaltimer"} else self.e.cast("trunc", ticks, "i32")

    def unsupported(self, instruction: Instruction, why: str = "") -> UnsupportedError:
        """Build the error that names an instruction."""
        return refused(instruction, why)
