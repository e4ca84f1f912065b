"""Parse the body of a PTX function: declarations, labels and instructions within nested scopes."""

from __future__ import annotations

from dataclasses import replace

from simgpu.errors import PtxSyntaxError, UnsupportedError
from simgpu.ptx.cursor import Cursor
from simgpu.ptx.declarations import parse_type, parse_variable
from simgpu.ptx.syntax import (
    Address,
    Group,
    Immediate,
    Instruction,
    Label,
    Location,
    Negated,
    Operand,
    Pair,
    Register,
    ScalarType,
    Sink,
    Space,
    Special,
    Symbol,
    Variable,
    Vector,
)
from simgpu.ptx.tokens import TokenKind

_SPECIALS = frozenset({
    "tid", "ntid", "ctaid", "nctaid", "laneid", "warpid", "nwarpid", "smid", "nsmid", "gridid", "lanemask_eq",
    "lanemask_le", "lanemask_lt", "lanemask_ge", "lanemask_gt", "clock", "clock_hi", "clock64", "globaltimer",
    "globaltimer_lo", "globaltimer_hi", "total_smem_size", "dynamic_smem_size", "aggr_smem_size",
    "reserved_smem_offset_begin", "reserved_smem_offset_end", "reserved_smem_offset_cap", "reserved_smem_offset_0",
    "reserved_smem_offset_1", "clusterid", "nclusterid", "cluster_ctaid", "cluster_nctaid", "cluster_ctarank",
    "cluster_nctarank", "is_explicit_cluster", "current_graph_exec", "envreg0", "envreg1", "envreg2", "envreg3",
})  # fmt: skip
WARP_SIZE = 32
_DECLARATIONS = {".local": Space.LOCAL, ".shared": Space.SHARED, ".param": Space.PARAM}


class BodyParser:
    """Parses one function body from a cursor that stands after its opening brace."""

    def __init__(self, cursor: Cursor, files: dict[int, str]) -> None:
        self._cursor = cursor
        self._files = files
        self._scopes: list[dict[str, Register]] = [{}]
        self._names: list[dict[str, str]] = [{}]
        self._starts = [0]
        self._location: Location | None = None
        self.registers: list[Register] = []
        self.variables: list[Variable] = []
        self.body: list[Instruction | Label] = []
        self.branch_targets: dict[str, tuple[str, ...]] = {}

    def parse(self) -> None:
        """Consume the body and its closing brace."""
        depth = 1
        cursor = self._cursor
        while depth:
            token = cursor.token
            if cursor.accept("{"):
                depth += 1
                self._open_scope()
            elif cursor.accept("}"):
                depth -= 1
                self._close_scope()
            elif token.kind is TokenKind.DIRECTIVE:
                self._directive()
            elif token.kind is TokenKind.WORD and cursor.following.text == ":":
                self._label()
            else:
                self._instruction()

    def _open_scope(self) -> None:
        self._scopes.append({})
        self._names.append({})
        self._starts.append(len(self.body))

    def _close_scope(self) -> None:
        """Leave a scope; its forward branches get the names that its labels were given meanwhile."""
        self._scopes.pop()
        names, start = self._names.pop(), self._starts.pop()
        if not any(name != unique for name, unique in names.items()):
            return
        for position in range(start, len(self.body)):
            item = self.body[position]
            if isinstance(item, Instruction) and item.base == "bra":
                (target,) = item.operands
                if isinstance(target, Symbol) and target.name in names:
                    self.body[position] = replace(item, operands=(Symbol(names[target.name]),))

    def _label(self) -> None:
        cursor = self._cursor
        name = cursor.word()
        cursor.expect(":")
        if cursor.at(".branchtargets"):
            cursor.next()
            targets = [cursor.word()]
            while cursor.accept(","):
                targets.append(cursor.word())
            cursor.expect(";")
            self.branch_targets[name] = tuple(targets)
        elif cursor.token.text in {".callprototype", ".calltargets"}:
            cursor.skip_to(";")
        else:
            self.body.append(Label(self._declare_name(name)))

    def _declare_name(self, name: str) -> str:
        """Give a label inside an inner scope a name of its own, since inlined asm repeats it."""
        unique = name if len(self._scopes) == 1 else f"{name}#{len(self.body)}"
        self._names[-1][name] = unique
        return unique

    def _directive(self) -> None:
        cursor = self._cursor
        token = cursor.next()
        if token.text == ".reg":
            self._declare_registers()
        elif token.text == ".loc":
            self._source_location()
        elif token.text == ".pragma":
            cursor.skip_to(";")
        elif token.text in _DECLARATIONS:
            variable = parse_variable(cursor, _DECLARATIONS[token.text])
            unique = variable.name
            if len(self._scopes) > 1:
                unique = f"{variable.name}#{len(self.variables)}"
            self._names[-1][variable.name] = unique
            self.variables.append(_renamed(variable, unique))
            cursor.expect(";")
        else:
            raise UnsupportedError(f"directive {token.text} (PTX line {token.line})")

    def _declare_registers(self) -> None:
        cursor = self._cursor
        kind = parse_type(cursor)
        while True:
            name = cursor.word()
            if cursor.accept("<"):
                count = cursor.integer()
                cursor.expect(">")
                for number in range(count):
                    self._declare_register(f"{name}{number}", kind)
            else:
                self._declare_register(name, kind)
            if not cursor.accept(","):
                break
        cursor.expect(";")

    def _declare_register(self, name: str, kind: ScalarType) -> None:
        register = Register(name, kind, len(self.registers))
        self.registers.append(register)
        self._scopes[-1][name] = register

    def _source_location(self) -> None:
        """Read `.loc file line column`; for inlined code keep the outermost call's place."""
        cursor = self._cursor
        number, line = cursor.integer(), cursor.integer()
        cursor.integer()
        while cursor.accept(","):
            attribute = cursor.word()
            if attribute == "function_name":
                cursor.word()
                if cursor.accept("+"):
                    cursor.integer()
            elif attribute == "inlined_at":
                number, line = cursor.integer(), cursor.integer()
                cursor.integer()
            else:
                raise cursor.error(f"unknown .loc attribute {attribute}")
        self._location = Location(self._files.get(number, f"file {number}"), line)

    def _instruction(self) -> None:
        cursor = self._cursor
        predicate, negated = None, False
        if cursor.accept("@"):
            negated = cursor.accept("!")
            predicate = self._register(cursor.word())
        token = cursor.next()
        if token.kind is not TokenKind.WORD:
            raise PtxSyntaxError(f"line {token.line}: expected an instruction, found {token.text or 'the end'!r}")
        parts = token.text.split(".")
        operands: list[Operand] = []
        if not cursor.at(";"):
            operands.append(self._operand())
            while cursor.accept(","):
                operands.append(self._operand())
        cursor.expect(";")
        self.body.append(
            Instruction(
                token.text, parts[0], tuple(parts[1:]), tuple(operands), predicate, negated, token.line, self._location
            )
        )

    def _register(self, name: str) -> Register:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        raise self._cursor.error(f"register {name} is not declared")

    def _operand(self) -> Operand:
        """Consume one operand, and a second behind `|` where there is one."""
        first = self._single()
        if self._cursor.accept("|"):
            return Pair(first, self._single())
        return first

    def _single(self) -> Operand:
        cursor = self._cursor
        token = cursor.token
        if token.kind is TokenKind.WORD:
            return self._named(cursor.next().text)
        if token.kind is TokenKind.NUMBER or token.text in {"-", "+"}:
            return cursor.constant()
        if cursor.accept("["):
            return self._address()
        if cursor.accept("{"):
            return Vector(self._list("}"))
        if cursor.accept("("):
            return Group(self._list(")"))
        if cursor.accept("!"):
            return Negated(self._register(cursor.word()))
        raise cursor.error("expected an operand")

    def _list(self, closing: str) -> tuple[Operand, ...]:
        items: list[Operand] = []
        while not self._cursor.accept(closing):
            items.append(self._operand())
            self._cursor.accept(",")
        return tuple(items)

    def _named(self, name: str) -> Operand:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        if name == "_":
            return Sink()
        if name == "WARP_SZ":
            return Immediate(WARP_SIZE)
        if name[0] == "%":
            special = name[1:]
            if special.partition(".")[0] not in _SPECIALS:
                raise self._cursor.error(f"register {name} is not declared")
            return Special(special)
        symbol = self._symbol(name)
        return Symbol(symbol, self._cursor.integer() if self._cursor.accept("+") else 0)

    def _symbol(self, name: str) -> str:
        for names in reversed(self._names):
            if name in names:
                return names[name]
        return name

    def _address(self) -> Operand:
        """Consume an address after its bracket; tensor coordinates and the like are not addresses."""
        cursor = self._cursor
        base = self._single()
        offset = 0
        while cursor.token.text in {"+", "-"}:
            sign = -1 if cursor.next().text == "-" else 1
            offset += sign * cursor.integer()
        if isinstance(base, Symbol):
            base, offset = Symbol(base.name), offset + base.offset
        if cursor.at(","):
            raise UnsupportedError(f"an address with tensor coordinates, as TMA's have (PTX line {cursor.token.line})")
        if not isinstance(base, Register | Symbol | Immediate):
            raise UnsupportedError(f"address form (PTX line {cursor.token.line})")
        cursor.expect("]")
        return Address(base, offset)


def _renamed(variable: Variable, name: str) -> Variable:
    return variable if variable.name == name else replace(variable, name=name)
