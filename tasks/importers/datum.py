"""Makes an op of a reference that takes all of its inputs as one value, and of the generator that draws them."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.constants import parse_source
from tasks.errors import UserError
from tasks.importers.sources import class_called, function_called, parameters_of
from tasks.importers.tensor_reading import TensorReading, returned_by

_KERNEL, _GENERATOR = "ref_kernel", "generate_input"

_PLAIN = '''

class Model(torch.nn.Module):
    """{title}"""

    def forward(self, {received}):
        return {kernel}({passed})


def get_inputs():
    {unpacked} = {generator}({given})
    return [{received}]
'''

_WITH_OUTPUT = '''

class WholeOutput:
    """Stands for a tensor that is allocated for the result: keeps what the reference writes into all of it."""

    def __setitem__(self, where, value):
        self.value = value


class Model(torch.nn.Module):
    """{title}"""

    def forward(self, {received}):
        {outputs} = WholeOutput()
        result = {kernel}({passed})
        return result.value if isinstance(result, WholeOutput) else result


def get_inputs():
    {unpacked} = {generator}({given})
    return [{received}]
'''

_NESTED = '''

structure_of_inputs = []


class Model(torch.nn.Module):
    """{title}"""

    def forward(self, *data):
        return {kernel}(torch.utils._pytree.tree_unflatten(list(data), structure_of_inputs[0]))


def get_inputs():
    leaves, structure = torch.utils._pytree.tree_flatten({generator}({given}))
    for leaf in leaves:
        if not isinstance(leaf, torch.Tensor | bool | int | float | str | torch.dtype | None):
            raise TypeError(f"a {{type(leaf).__name__}} among the inputs can be passed to no kernel")
    structure_of_inputs[:] = [structure]
    return leaves
'''


@dataclass(frozen=True, slots=True)
class Datum:
    """The whole reference."""

    source: str
    notes: tuple[str, ...]
    tensors_only: bool
    """Whether the op is given nothing but tensors, so that no setting reaches it but through their sizes and types."""


def wrapped(source: str, constants: Mapping[str, str], title: str) -> Datum:
    """Add a `Model` that takes each tensor as an argument of its own, and `get_inputs()`.

    A tensor that is there for the result to be written into is no input: the result is returned instead.

    Parameters
    ----------
    source
        Defines `ref_kernel(data)` and `generate_input(...)`.
    constants
        The module-level constant that each argument of the generator is given.
    title
        One line in plain words.

    Raises
    ------
    UserError
        The source lacks one of the functions, or the generator does not take the arguments.
    """
    tree = parse_source(source)
    kernel, generator = function_called(tree, _KERNEL), function_called(tree, _GENERATOR)
    if kernel is None or generator is None:
        raise UserError(f"the reference defines no '{_KERNEL}' or no '{_GENERATOR}'")
    if class_called(tree, "Model") is not None:
        raise UserError("the reference defines a 'Model' of its own, the name that is needed for the op")
    if unknown := sorted(set(constants) - set(parameters_of(generator))):
        raise UserError(f"its generator takes no '{unknown[0]}', which a test states")
    given = ", ".join(f"{name}={constant}" for name, constant in constants.items())
    unpacked = _unpacked(kernel)
    items = _items(tree, generator, unpacked)
    fields = {"title": title.replace('"', "'").replace("\\", ""), "kernel": _KERNEL, "generator": _GENERATOR}
    if items is None:
        return Datum(_joined(source, _NESTED.format(given=given, **fields)), (), tensors_only=False)
    outputs = [name for name, inside in zip(items, unpacked, strict=False) if _is_allocated(kernel, inside)]
    received = [name for name in items if name not in outputs]
    single = len(items) == 1 and not _returns_tuple(generator)
    text = (_WITH_OUTPUT if outputs else _PLAIN).format(
        received=", ".join(received),
        passed=items[0] if single else f"({_listed(items)})",
        unpacked=items[0] if single else _listed(items),
        outputs=" = ".join(outputs),
        given=given,
        **fields,
    )
    notes = (f"'{name}', allocated for the result, is no input: a kernel returns its result" for name in outputs)
    return Datum(_joined(source, text), tuple(notes), tensors_only=True)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) > 1 else f"{names[0]},"


def _joined(source: str, text: str) -> str:
    needed = "" if any(line.strip() == "import torch" for line in source.splitlines()) else "import torch\n"
    return f"{needed}{source}{text}"


def _items(tree: ast.Module, generator: ast.FunctionDef, unpacked: Sequence[str]) -> tuple[str, ...] | None:
    """Return names for what the generator returns, None unless it is a tensor or a tuple of tensors for sure."""
    reading = TensorReading(tree)
    match returned_by(generator):
        case [ast.Tuple(elts=elements)]:
            inside = dict(enumerate(unpacked))
            names = tuple(
                element.id if isinstance(element, ast.Name) else inside.get(position) or f"data_{position}"
                for position, element in enumerate(elements)
            )
            tensors = all(reading.is_tensor(generator, element) for element in elements)
            return names if tensors and len(set(names)) == len(names) else None
        case [ast.Name(id=name) as element] if reading.is_tensor(generator, element):
            return (name,)
        case [_, *_] as values if all(value is not None and reading.is_tensor(generator, value) for value in values):
            return ("data",)
    return None


def _returns_tuple(generator: ast.FunctionDef) -> bool:
    return any(isinstance(value, ast.Tuple) for value in returned_by(generator))


def _unpacked(kernel: ast.FunctionDef) -> tuple[str, ...]:
    """Return the names that the reference gives to the parts of its input; empty when it does not take them apart."""
    data = parameters_of(kernel)[:1]
    for node in ast.walk(kernel):
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=parts)], value=ast.Name(id=name)) if (name,) == data:
                return tuple(part.id if isinstance(part, ast.Name) else "" for part in parts)
    return ()


def _is_allocated(kernel: ast.FunctionDef, name: str) -> bool:
    """Tell whether a part of the input is there only to be written over as a whole, or not used at all."""
    if not name:
        return False
    nodes = list(ast.walk(kernel))
    uses = [n for n in nodes if isinstance(n, ast.Name) and n.id == name]
    reads = [n for n in uses if isinstance(n.ctx, ast.Load)]
    stores = sorted((n.lineno, n.col_offset) for n in uses if isinstance(n.ctx, ast.Store))
    if len(stores) > 1 and all((n.lineno, n.col_offset) > stores[1] for n in reads):
        return True  # the name is given another meaning before it is read
    whole = {id(target) for node in nodes for target in _written_whole(node)}
    returned = {id(n.value) for n in nodes if isinstance(n, ast.Return) and isinstance(n.value, ast.Name)}
    return all(id(n) in whole | returned for n in reads)


def _written_whole(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.Assign(targets=[ast.Subscript(value=ast.Name() as name, slice=ast.Constant(value=where))]):
            return [name] if where is ... else []
        case ast.Assign(targets=[ast.Subscript(value=ast.Name() as name, slice=ast.Slice(None, None, None))]):
            return [name]
    return []
