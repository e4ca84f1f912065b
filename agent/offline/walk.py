"""The lines of one walk over elements, shared by every skeleton."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from agent.offline.kernel import KernelWriter
from agent.offline.passes import Pass, RowProgram
from agent.offline.stages import Output, Reduction

FUNCTORS = {"sum": "a + b", "max": "maximum(a, b)", "min": "minimum(a, b)", "prod": "a * b"}
"""How each kind of reduction combines two values."""

_IDENTITIES = {
    ("sum", "int64_t"): "0",
    ("prod", "int64_t"): "1",
    ("max", "int64_t"): "INT64_MIN",
    ("min", "int64_t"): "INT64_MAX",
    ("sum", "float"): "0.0f",
    ("prod", "float"): "1.0f",
    ("max", "float"): "-INFINITY",
    ("min", "float"): "INFINITY",
    ("sum", "double"): "0.0",
    ("prod", "double"): "1.0",
    ("max", "double"): "-INFINITY",
    ("min", "double"): "INFINITY",
}


class Keeping(StrEnum):
    """Where a walk keeps values for later passes."""

    REGISTERS = "registers"
    SHARED = "shared"
    """Element j of a vector lies `columns / VECTOR` after element j - 1: a warp's accesses touch every bank once."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Lines of one step: before the elements of a vector, for each element, after them."""

    before: tuple[str, ...]
    inside: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepText:
    """Lines of one pass."""

    before: tuple[str, ...]
    """Per-row values, and the accumulators' first values."""
    walk: Walk
    after: tuple[str, ...]
    """Combining the accumulators over the group; `GROUP_WIDTH` stands for its width."""
    stores: bool
    """Whether the walk writes to memory."""


@dataclass(frozen=True, slots=True)
class ProgramText:
    """Lines of a row program."""

    kept: tuple[str, ...]
    """Declarations of what stays in registers."""
    passes: tuple[StepText, ...]
    final: tuple[str, ...]
    row_stores: tuple[str, ...]


def identity_of(reduction: Reduction) -> str:
    """Return the value that a reduction starts from."""
    return _IDENTITIES[reduction.op, reduction.c_type]


def vector_walk(writer: KernelWriter, step: Pass, vector: str = "VECTOR", keeping: Keeping = Keeping.REGISTERS) -> Walk:
    """Return a walk that loads and stores `vector` elements at once along `column`, starting at `start`."""
    renamed = {"column": "start"}
    before = writer.declare_digits("column", "start")
    inside: list[str] = []
    after: list[str] = []
    for term in sorted({*step.terms, *step.recalled}):
        if term in step.recalled:
            c_type = writer.stage.terms[term].c_type
            inside.append(f"const {c_type} t{term} = {_kept(term, vector, keeping)};")
        elif writer.is_vector_load(term, "column"):
            load = writer.stage.terms[term]
            address = writer.address(load.steps, renamed)
            before.append(f"const auto t{term}_pack = load_pack<{vector}>({writer.names[load.tensor]} + {address});")
            inside.append(writer.line(term, f"to_compute(t{term}_pack.value[j])"))
        elif writer.is_value(term):
            inside.append(writer.line(term))
    inside += [f"{_kept(term, vector, keeping)} = t{term};" for term in step.kept]
    inside += _accumulations(writer, step)
    for output in step.outputs:
        _write(writer, output, vector, (before, inside, after))
    advance = writer.advance_digits("column", "start", "column", "j")
    inside = [line for line in advance if any(_mentions(other, line) for other in (*inside, *advance))] + inside
    return Walk(tuple(before), tuple(inside), tuple(after))


def _kept(term: int, vector: str, keeping: Keeping) -> str:
    index = f"item * {vector} + j" if keeping is Keeping.REGISTERS else f"j * (columns / {vector}) + start / {vector}"
    return f"t{term}_kept[{index}]"


def scalar_walk(writer: KernelWriter, step: Pass) -> Walk:
    """Return a walk over single elements at `column`."""
    inside = writer.declare_digits("column", "column")
    inside += [writer.line(term) for term in step.terms if writer.is_value(term)]
    inside += _accumulations(writer, step)
    inside += [store(writer, output) for output in step.outputs]
    return Walk((), tuple(inside), ())


def program_text(
    writer: KernelWriter, program: RowProgram, keeping: Keeping = Keeping.REGISTERS, *, serial: bool = False
) -> ProgramText:
    """Return the lines of every pass of a row program."""
    kept = [_kept_declaration(writer, program, term, keeping) for step in program.passes for term in step.kept]
    passes = tuple(step_text(writer, step, keeping, serial=serial) for step in program.passes)
    final = tuple(writer.line(term) for term in program.final_terms)
    stores = tuple(store(writer, output) for output in program.row_outputs)
    return ProgramText(tuple(kept), passes, final, stores)


def _kept_declaration(writer: KernelWriter, program: RowProgram, term: int, keeping: Keeping) -> str:
    c_type = writer.stage.terms[term].c_type
    if keeping is Keeping.REGISTERS:
        return f"{c_type} t{term}_kept[ITEMS * VECTOR];"
    return f"{c_type}* const t{term}_kept = kept_rows + {program.slots[term]} * columns;"


def step_text(
    writer: KernelWriter, step: Pass, keeping: Keeping = Keeping.REGISTERS, *, serial: bool = False
) -> StepText:
    """Return the lines of one pass."""
    paired = [reduction for pair in step.online for reduction in (pair.most, pair.total)]
    before = [writer.line(term) for term in step.per_row]
    before += [f"{r.c_type} {writer.reduced(r)} = {identity_of(r)};" for r in (*step.reductions, *paired)]
    walk = scalar_walk(writer, step) if serial else vector_walk(writer, step, keeping=keeping)
    return StepText(tuple(before), walk, _combinations(writer, step, serial=serial), bool(step.outputs))


def _combinations(writer: KernelWriter, step: Pass, *, serial: bool) -> tuple[str, ...]:
    """Combine each accumulator over the threads of the row; a thread that walks its row alone has nothing to do."""
    pairs = [f"{writer.reduced(pair.most)}, {writer.reduced(pair.total)}" for pair in step.online]
    if serial:
        return tuple(f"online_finish({names});" for names in pairs)
    lines = []
    for reduction in step.reductions:
        name, functor = writer.reduced(reduction), reduction.op.capitalize()
        lines.append(f"{name} = reduce_group<GROUP_WIDTH>({name}, {functor}{{}});")
    return (*lines, *(f"online_reduce<GROUP_WIDTH>({names});" for names in pairs))


def store(writer: KernelWriter, output: Output) -> str:
    """Return the statement that writes one element of an output."""
    target = f"{writer.names[output.tensor]}[{writer.address(output.steps)}]"
    return f"{target} = from_compute<{writer.storage(output.tensor)}>({writer.name(output.term)});"


def stored_as_vector(writer: KernelWriter, output: Output) -> bool:
    """Whether an output's elements lie together along `column`."""
    digits = writer.groups["column"].digits
    return bool(digits) and any(step.digit == digits[-1].name and step.stride.is_one for step in output.steps)


def _mentions(line: str, declaration: str) -> bool:
    """Whether a line other than the declaration itself uses the variable that it declares."""
    variable = declaration.split(" = ", 1)[0].rsplit(" ", 1)[1]
    return line != declaration and re.search(rf"\b{variable}\b", line) is not None


def _accumulations(writer: KernelWriter, step: Pass) -> list[str]:
    pairs = [
        f"online_add({writer.reduced(p.most)}, {writer.reduced(p.total)}, {writer.name(p.most.operand)});"
        for p in step.online
    ]
    return [*(_accumulate(writer, reduction) for reduction in step.reductions), *pairs]


def _accumulate(writer: KernelWriter, reduction: Reduction) -> str:
    name, value = writer.reduced(reduction), writer.name(reduction.operand)
    if reduction.op in ("max", "min"):
        return f"{name} = {reduction.op}imum({name}, {value});"
    return f"{name} {'+=' if reduction.op == 'sum' else '*='} {value};"


def _write(writer: KernelWriter, output: Output, vector: str, lines: Sequence[list[str]]) -> None:
    before, inside, after = lines
    if not stored_as_vector(writer, output):
        inside.append(store(writer, output))
        return
    name, kind = writer.names[output.tensor], writer.storage(output.tensor)
    before.append(f"Pack<{kind}, {vector}> {name}_pack;")
    inside.append(f"{name}_pack.value[j] = from_compute<{kind}>({writer.name(output.term)});")
    after.append(f"store_pack({name} + {writer.address(output.steps, {'column': 'start'})}, {name}_pack);")
