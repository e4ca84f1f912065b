"""A reference source's sizes: its module-level integer constants, read and rewritten without executing it."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tasks.errors import UserError
from tasks.expressions import ExpressionError, evaluate_node

SOURCE_NAME = "<reference>"
"""File name under which a reference source is compiled; tracebacks show it."""

DIMENSION_AXIS = re.compile(r"(?P<input>\w+)_dim(?P<position>\d+)")
"""Name of an axis that is a size of an input and no constant of the source: `x_dim0`."""

Literal = bool | int | float | str


def parse_source(source: str) -> ast.Module:
    """Parse a reference source.

    Raises
    ------
    UserError
        It is not Python.
    """
    try:
        return ast.parse(source, SOURCE_NAME)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f" at line {line}" if line else ""
        reason = getattr(error, "msg", None) or str(error)
        raise UserError(f"the reference is not valid Python{where}: {reason}") from error


def module_constants(source: str) -> dict[str, int]:
    """Return the module-level constants `NAME = <integer>` of `source`, in order of appearance.

    Arithmetic on literals (`64 * 1024`), annotations (`rows: int = 8`) and unpacking (`rows, cols = 8, 16`) count, and
    `height = width = 8` is one constant, `height`. The elements of a tuple or list count too (`shape = (8, 16)` gives
    `shape_0` and `shape_1`, `[64] * 3` gives `shape_0` alone), but for those that are 1, which only make a tensor
    broadcast. A name that is bound twice, or to anything that refers to another name, does not count.
    """
    return {slot.name: value for slot in _constants(parse_source(source)) if (value := slot.value) is not None}


def module_literals(source: str) -> dict[str, Literal]:
    """Return the module-level constants of `source`, numbers and texts of any kind, that are bound once."""
    tree = parse_source(source)
    bindings = _bindings(tree)
    found: dict[str, Literal] = dict(module_constants(source))
    for slot in _slots(tree):
        if slot.name == slot.bound and bindings[slot.bound] == 1 and slot.name not in found:
            value = slot.literal
            if value is not None:
                found[slot.name] = value
    return found


def is_dimension(axis: str, source: str) -> bool:
    """Tell whether an axis is a dimension of an input, by its name (`x_dim0`), and no constant of `source`."""
    return DIMENSION_AXIS.fullmatch(axis) is not None and axis not in module_constants(source)


def with_constants(source: str, values: Mapping[str, int]) -> ast.Module:
    """Return the syntax tree of `source` with the named module-level constants set to `values`.

    Raises
    ------
    UserError
        A name in `values` is not a module-level integer constant of `source`.
    """
    tree = parse_source(source)
    slots = {slot.name: slot for slot in _constants(tree)}
    for name, value in values.items():
        if name not in slots:
            listed = ", ".join(slots) or "none"
            raise UserError(f"the reference has no module-level integer constant '{name}' (it has: {listed})")
        slots[name].write(value)
    return tree


def bound_names(source: str) -> frozenset[str]:
    """Return the names that the module's own statements bind."""
    return frozenset(_bindings(parse_source(source)))


def with_header(source: str, values: Mapping[str, bool | float | str | None]) -> str:
    """Return `source` with a line `NAME = VALUE` for each of `values` above it, below its docstring and `__future__`.

    Raises
    ------
    UserError
        `source` is not Python, or binds one of the names itself.
    """
    tree = parse_source(source)
    taken = sorted(values.keys() & _bindings(tree).keys())
    if taken:
        raise UserError(f"the reference already binds the name '{taken[0]}', which its settings use too")
    lines = source.splitlines(keepends=True)
    start = _end_of_prologue(tree)
    header = [f"{name} = {value!r}\n" for name, value in values.items()]
    spaced = ["\n", *header, "\n"] if header and start else [*header, "\n"] if header else []
    return "".join([*lines[:start], *spaced, *lines[start:]])


def _end_of_prologue(tree: ast.Module) -> int:
    """Return the last line that has to stay on top: docstring and imports from `__future__`."""
    end = 0
    for position, statement in enumerate(tree.body):
        match statement:
            case ast.Expr(value=ast.Constant(value=str())) if position == 0:
                end = statement.end_lineno or 0
            case ast.ImportFrom(module="__future__"):
                end = statement.end_lineno or 0
            case _:
                break
    return end


@dataclass(frozen=True, slots=True)
class _Slot:
    """A place in the syntax tree where the value of a name, or of one of its elements, is written."""

    bound: str
    """The name that the module binds."""
    name: str
    """The name of the constant: that name, or `shape_0` for an element of `shape`."""
    holder: ast.Assign | ast.AnnAssign | ast.Tuple | ast.List
    """The node that holds the value."""
    position: int = 0
    """Element of the holder, when that is a tuple or a list."""

    @property
    def value(self) -> int | None:
        """The integer written there, None when it is anything else."""
        try:
            return None if self._held is None else evaluate_node(self._held, {})
        except ExpressionError:
            return None

    @property
    def literal(self) -> Literal | None:
        """The number, text or truth value written there, None when it is anything else."""
        try:
            value = None if self._held is None else ast.literal_eval(self._held)
        except (ValueError, TypeError):
            return None
        return value if isinstance(value, bool | int | float | str) else None

    @property
    def _held(self) -> ast.expr | None:
        return self.holder.elts[self.position] if isinstance(self.holder, ast.Tuple | ast.List) else self.holder.value

    def write(self, value: int) -> None:
        """Write another value there."""
        literal = ast.fix_missing_locations(ast.copy_location(ast.Constant(value), self.holder))
        if isinstance(self.holder, ast.Tuple | ast.List):
            self.holder.elts[self.position] = literal
        else:
            self.holder.value = literal


def _constants(tree: ast.Module) -> list[_Slot]:
    """Return the slots that hold integers, without those whose name is bound elsewhere too."""
    bindings = _bindings(tree)
    alone = (slot for slot in _slots(tree) if slot.value is not None and bindings[slot.bound] == 1)
    return [slot for slot in alone if slot.name == slot.bound or (slot.value != 1 and not bindings[slot.name])]


def _slots(tree: ast.Module) -> Iterator[_Slot]:
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=(ast.Tuple() | ast.List()) as holder):
                yield from (_Slot(name, f"{name}_{i}", holder, i) for i in range(len(holder.elts)))
            case ast.Assign(
                targets=[ast.Name(id=name)], value=ast.BinOp(left=(ast.Tuple() | ast.List()) as holder, op=ast.Mult())
            ):
                yield from (_Slot(name, f"{name}_{i}", holder, i) for i in range(len(holder.elts)))
            case ast.Assign(targets=[ast.Name(id=name), *_]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield _Slot(name, name, statement)
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values) as holder):
                for position, target in enumerate(targets[: len(values)]):
                    if isinstance(target, ast.Name):
                        yield _Slot(target.id, target.id, holder, position)


def _bindings(tree: ast.Module) -> Counter[str]:
    """Count how often each name is bound by the module's own statements (functions and classes left out)."""
    counts: Counter[str] = Counter()
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            counts.update(alias.asname or alias.name.split(".")[0] for alias in statement.names)
            continue
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            counts[statement.name] += 1
            continue
        stores = (n for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
        counts.update(name.id for name in stores)
    return counts
