"""Makes a task of an `nn.Module` or a function in the user's own package: `mypkg.layers:RMSNorm --shape x=8,1024,4096`.

The package is read, never executed here: its modules are written into the reference source, which only the sandbox
executes. Sizes become named constants, so that the probe finds out which of them may vary.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from jinja2 import Environment, StrictUndefined
from pydantic import Field

from tasks.errors import UserError
from tasks.importers.bundling import Bundle, Library, origin_of, parsed
from tasks.inference import slug_of, task_from_probe
from tasks.loading import Prober
from tasks.values import DType, ProbeResult, Task, Value

_NAME = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_]\w*)")
_SHAPE = re.compile(r"(?P<name>[A-Za-z_]\w*)=(?P<sizes>\d+(?:,\d+)*|\(\))(?::(?P<dtype>\w+))?")
_FOLLOWED = 10
"""Re-exports (`from .norm import RMSNorm`) that are followed to a definition."""

Literal = bool | int | float | str | None
"""What a constructor may be given."""


class TensorShape(Value):
    """One example input, as typed: `x=8,1024,4096` or `ids=8,128:int64`."""

    name: str
    """Parameter of the op."""
    sizes: tuple[int, ...]
    """Sizes; none for a scalar tensor."""
    dtype: DType = DType.FLOAT32
    """Element type."""


class ConstructorArgument(Value):
    """One argument of the constructor, as typed: `dim=4096`, or `4096` by position."""

    name: str | None = None
    """Parameter, None by position."""
    value: Literal
    """A Python literal."""


class Wanted(Value):
    """What a user says about the op beyond its name."""

    shapes: tuple[TensorShape, ...] = Field(min_length=1)
    """The op's tensors."""
    init: tuple[ConstructorArgument, ...] = ()
    """The constructor's arguments; one that is required and missing is guessed from the sizes."""


def is_module_name(name: str) -> bool:
    """Tell whether `name` has the form `package.module:Name`."""
    return _NAME.fullmatch(name) is not None


def wanted(shapes: Sequence[str], init: Sequence[str]) -> Wanted:
    """Read what was typed for `--shape` and `--init`.

    Raises
    ------
    UserError
        Something has another form; the sentence shows the right one.
    """
    if not shapes:
        raise UserError("say how large its inputs are, as --shape x=8,1024,4096, once for each tensor")
    return Wanted(shapes=tuple(map(_shape, shapes)), init=tuple(map(_argument, init)))


def read_module_task(name: str, said: Wanted, prober: Prober, library: Library | None = None) -> Task:
    """Return the task of the class or function called `package.module:Name`.

    Arguments of the constructor that equal a size which cannot vary alone are taken to be that size, and vary with it.

    Raises
    ------
    UserError
        There is no such op, it does not take these inputs, or its arguments cannot be guessed.
    """
    op = _find(name, library or Library())
    op.check(said.shapes)
    missing = op.missing_arguments(said.init)
    if len(missing) > 1:
        listed = " ".join(f"--init {one}=..." for one in missing)
        raise UserError(f"'{name}' is constructed with {', '.join(missing)}: give them, as {listed}")
    sizes = _named_sizes(said.shapes)
    if missing:
        return _guessed(op, said, sizes, missing[0], prober)
    draft = _source(op, said, sizes, ties={})
    probed = prober.probe(draft)
    bound = {size: name for name, size in sizes.values.items() if name not in {axis.name for axis in probed.axes}}
    ties = {p: bound[a.value] for p, a in enumerate(said.init) if type(a.value) is int and a.value in bound}
    if ties:
        tied = _source(op, said, sizes, ties)
        again = _probed(prober, tied)
        if again is not None and len(again.axes) > len(probed.axes):
            draft, probed = tied, again
    return _task(op, draft, probed)


def _guessed(op: _Op, said: Wanted, sizes: _Sizes, missing: str, prober: Prober) -> Task:
    """Try the sizes of the first input for the one argument that is missing, the last one first."""
    first = said.shapes[0]
    for constant in reversed(sizes.of[first.name]):
        argument = ConstructorArgument(name=missing, value=sizes.values[constant])
        guess = said.model_copy(update={"init": (*said.init, argument)})
        draft = _source(op, guess, sizes, ties={len(said.init): constant})
        probed = _probed(prober, draft)
        if probed is not None:
            return _task(op, draft, probed)
    raise UserError(
        f"'{op.title}' is constructed with '{missing}', which is none of the sizes of '{first.name}': "
        f"give it, as --init {missing}=..."
    )


def _probed(prober: Prober, source: str) -> ProbeResult | None:
    try:
        return prober.probe(source)
    except UserError:
        return None


def _task(op: _Op, source: str, probed: ProbeResult) -> Task:
    task = task_from_probe(op.name, source, probed)
    return task.model_copy(update={"slug": slug_of(op.name), "title": op.title})


@dataclass(frozen=True, slots=True)
class _Op:
    """A class or function as its module defines it."""

    module: str
    name: str
    node: ast.ClassDef | ast.FunctionDef
    bundle: Bundle

    @property
    def title(self) -> str:
        return f"{self.name} of {self.module}"

    @property
    def is_class(self) -> bool:
        return isinstance(self.node, ast.ClassDef)

    @property
    def call(self) -> ast.arguments | None:
        """Parameters of the op; None where the class inherits its forward."""
        return _method(self.node, "forward") if isinstance(self.node, ast.ClassDef) else self.node.args

    def check(self, shapes: Sequence[TensorShape]) -> None:
        """Hold the inputs that were typed to the op's parameters."""
        if self.call is None:
            return
        given, known = [shape.name for shape in shapes], _names(self.call, bound=self.is_class)
        unknown = next((name for name in given if name not in known), None)
        if unknown is not None:
            raise UserError(f"'{self.title}' takes no '{unknown}', but {', '.join(known) or 'nothing'}")
        required = known[: len(known) - len(self.call.defaults)] if self.call.defaults else known
        missing = [name for name in required if name not in given]
        if missing:
            raise UserError(
                f"'{self.title}' also takes {', '.join(missing)}: give --shape {missing[0]}=..., or write a file with "
                "get_inputs() where it is no tensor"
            )

    def missing_arguments(self, init: Sequence[ConstructorArgument]) -> list[str]:
        """Return the constructor's parameters that have no default and were not given."""
        signature = _method(self.node, "__init__") if isinstance(self.node, ast.ClassDef) else None
        if signature is None:
            if init and not self.is_class:
                raise UserError(f"'{self.title}' is a function: it takes no --init")
            return []
        known = _names(signature, bound=True)
        required = known[: len(known) - len(signature.defaults)] if signature.defaults else known
        given = {argument.name for argument in init}
        positions = sum(argument.name is None for argument in init)
        return [name for place, name in enumerate(required) if place >= positions and name not in given]


def _find(name: str, library: Library) -> _Op:
    """Find the definition, through the modules that only pass it on."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise UserError(f"'{name}' is no op of a module: write package.module:Name")
    bundle = library.bundle(match["module"])
    node = _definition(library, match["module"], match["name"], _FOLLOWED)
    if node is None:
        raise UserError(f"'{match['module']}' defines no class or function '{match['name']}' at its top level")
    return _Op(match["module"], match["name"], node, bundle)


def _definition(library: Library, name: str, wanted_name: str, left: int) -> ast.ClassDef | ast.FunctionDef | None:
    """Find a class or function in a module, or where the module has it from."""
    module = library.find(name) if left else None
    if module is None:
        return None
    for node in reversed(parsed(module).body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == wanted_name:
            return node
        if not isinstance(node, ast.ImportFrom):
            continue
        for alias in node.names:
            if alias.name == "*" or (alias.asname or alias.name) == wanted_name:
                there = wanted_name if alias.name == "*" else alias.name
                found = _definition(library, origin_of(module, node), there, left - 1)
                if found is not None:
                    return found
    return None


def _method(node: ast.ClassDef, name: str) -> ast.arguments | None:
    methods = (item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == name)
    return next((method.args for method in methods), None)


def _names(arguments: ast.arguments, *, bound: bool) -> list[str]:
    """Return the parameters that may be given by position, without `self`."""
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    return names[1:] if bound else names


@dataclass(frozen=True, slots=True)
class _Sizes:
    """The named constants of a source: each tensor's, and what each of them is."""

    of: Mapping[str, tuple[str, ...]]
    values: Mapping[str, int]


def _named_sizes(shapes: Sequence[TensorShape]) -> _Sizes:
    """Name every size after its first dimension; a later tensor's dimension of the same size shares the name.

    The dimension at the same position is preferred, so that equal tensors stay equal.
    """
    of: dict[str, tuple[str, ...]] = {}
    values: dict[str, int] = {}
    for shape in shapes:
        known = dict(values)
        names = []
        for position, size in enumerate(shape.sizes):
            same = [name for name, value in known.items() if value == size]
            beside = next((name for name in same if name.endswith(f"_dim{position}")), None)
            name = beside or next(iter(same), f"{shape.name}_dim{position}")
            values[name] = size
            names.append(name)
        of[shape.name] = tuple(names)
    return _Sizes(of, values)


def _source(op: _Op, said: Wanted, sizes: _Sizes, ties: Mapping[int, str]) -> str:
    """Return the reference; `ties` are arguments of the constructor, by position, that are one of the sizes."""
    written = [ties.get(place, repr(argument.value)) for place, argument in enumerate(said.init)]
    named = any(argument.name is not None for argument in said.init)
    if named and any(argument.name is None for argument in said.init):
        raise UserError("give the constructor's arguments all by name, or all by position")
    pairs = ", ".join(f"{a.name!r}: {text}" for a, text in zip(said.init, written, strict=True))
    used = {name for names in sizes.of.values() for name in names} | set(ties.values())
    return (
        _environment()
        .from_string(_template())
        .render(
            title=op.title,
            constants=[_Constant(name, sizes.values[name]) for name in sizes.values if name in used],
            modules=op.bundle.modules,
            packages=tuple(module.name for module in op.bundle.modules if module.is_package),
            module=op.module,
            name=op.name,
            is_class=op.is_class,
            init=f"{{{pairs}}}" if named else f"[{', '.join(written)}]",
            entry=op.name,
            parameters=[shape.name for shape in said.shapes],
            inputs=list(_examples(op, said.shapes, sizes)),
        )
    )


@dataclass(frozen=True, slots=True)
class _Constant:
    name: str
    size: int


def _examples(op: _Op, shapes: Sequence[TensorShape], sizes: _Sizes) -> Iterator[str]:
    """Yield an expression for each example input, in the order of the op's parameters."""
    order = [] if op.call is None else _names(op.call, bound=op.is_class)
    given = {shape.name: shape for shape in shapes}
    ordered = [given[name] for name in order if name in given] or list(shapes)
    for shape in ordered:
        names = sizes.of[shape.name]
        size = f"({names[0]},)" if len(names) == 1 else f"({', '.join(names)})"
        if shape.dtype.is_floating:
            yield f"torch.randn({size}, dtype=torch.{shape.dtype})"
        elif shape.dtype is DType.BOOL:
            yield f"torch.rand({size}) > 0.5"
        else:
            yield f"torch.randint(0, 2, {size}, dtype=torch.{shape.dtype})"


def _shape(text: str) -> TensorShape:
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise UserError(f"'{text}' is no shape: write NAME=SIZE,SIZE,... and :TYPE where it is not float32")
    dtype = match["dtype"] or DType.FLOAT32
    if dtype not in set(DType):
        raise UserError(f"'{dtype}' is no element type: one of {', '.join(DType)}")
    sizes = () if match["sizes"] == "()" else tuple(map(int, match["sizes"].split(",")))
    return TensorShape(name=match["name"], sizes=sizes, dtype=DType(dtype))


def _argument(text: str) -> ConstructorArgument:
    name, equals, value = text.rpartition("=")
    try:
        literal = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        literal = value
    if not isinstance(literal, bool | int | float | str | None) or (equals and not name.isidentifier()):
        raise UserError(f"'{text}' is no argument: write VALUE or NAME=VALUE, a number, a text, True, False or None")
    return ConstructorArgument(name=name or None, value=literal)


@cache
def _template() -> str:
    return resources.files("tasks.importers").joinpath("module.jinja").read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(  # noqa: S701 - Python text, not HTML
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"python": repr, "text": _text}
    return environment


def _text(source: str) -> str:
    """Return Python text as a literal that a person can read: a raw block where its letters allow it."""
    if "'''" in source or source.endswith(("\\", "'")) or "\r" in source:
        return repr(source)
    return f"r'''{source}'''"
