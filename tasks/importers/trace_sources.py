"""Makes a reference source of a definition: its own `run`, under a `Model`, and inputs drawn as its workloads say."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.constants import bound_names, parse_source
from tasks.errors import UserError
from tasks.importers.sources import class_called, free_name, function_called
from tasks.importers.trace_values import AxisKind, Definition, InputKind, StatedTensor, TraceWorkload
from tasks.importers.values import Setting
from tasks.values import DType

_MODEL = '''

class Model(torch.nn.Module):
    """{title}"""

    def forward(self, {names}):
        {call}


def get_inputs():
{custom}    return [
{drawn}
    ]
'''


@dataclass(frozen=True, slots=True)
class TraceReference:
    """The reference of a definition, and the settings of its workloads."""

    body: str
    settings: tuple[Setting, ...]
    notes: tuple[str, ...]


def reference_of(definition: Definition, workloads: Sequence[TraceWorkload]) -> TraceReference:
    """Return the reference source of a definition.

    Every axis and every scalar is a constant of it, so constant axes may vary too: a kernel takes its sizes from its
    tensors, and the checks of the reference that pin a constant axis to its value are left out.

    Raises
    ------
    UserError
        It has a type that tasks lack, or inputs whose legal values are only to be found in files of numbers.
    """
    source, notes = _without_pins(definition.reference, definition)
    tree = parse_source(source)
    if function_called(tree, "run") is None:
        raise UserError("its reference defines no function 'run'")
    if class_called(tree, "Model") is not None:
        raise UserError("its reference defines a 'Model' of its own, the name that is needed for the op")
    _require_types(definition)
    kinds = _kinds(definition, workloads)
    taken = bound_names(source)
    constants = {name: free_name(name, taken) for name in (*definition.axes, *_scalars(definition))}
    expressions = _expressions(definition, constants)
    body = "".join((_imports(source), source.rstrip(), "\n", expressions, _model(definition, kinds, constants)))
    settings = [_setting(definition, workload, constants) for workload in workloads]
    distinct = tuple(setting for position, setting in enumerate(settings) if setting not in settings[:position])
    return TraceReference(
        body=body,
        settings=distinct,
        notes=(*notes, *_file_notes(kinds, workloads)),
    )


def _without_pins(source: str, definition: Definition) -> tuple[str, tuple[str, ...]]:
    """Replace `assert hidden_size == 4096` by nothing where `hidden_size` is a constant axis of that value."""
    lines = source.splitlines()
    pinned: list[str] = []
    for node in ast.walk(parse_source(source)):
        match node:
            case ast.Assert(
                test=ast.Compare(left=ast.Name(id=name), ops=[ast.Eq()], comparators=[ast.Constant(value=value)])
            ):
                axis = definition.axes.get(name)
                if axis is not None and axis.value == value:
                    indent = lines[node.lineno - 1][: node.col_offset]
                    rows = (node.end_lineno or node.lineno) - node.lineno
                    lines[node.lineno - 1 : node.end_lineno] = [f"{indent}pass", *[""] * rows]
                    pinned.append(name)
    if not pinned:
        return source, ()
    note = f"its checks that {', '.join(pinned)} have their stated values are left out, so that sizes can vary"
    return "\n".join(lines), (note,)


def _require_types(definition: Definition) -> None:
    for name, tensor in definition.inputs.items():
        if tensor.dtype not in set(DType):
            raise UserError(f"its input '{name}' is of type {tensor.dtype}, and tasks hold {', '.join(DType)} only")


def _kinds(definition: Definition, workloads: Sequence[TraceWorkload]) -> dict[str, InputKind]:
    """Return where each input comes from, by the first workload; random where none says."""
    kinds: dict[str, InputKind] = {}
    for name, tensor in definition.inputs.items():
        stated = [workload.inputs[name].type for workload in workloads if name in workload.inputs]
        kinds[name] = stated[0] if stated else InputKind.RANDOM
        if kinds[name] is InputKind.SAFETENSORS and not tensor.dtype.startswith(("float", "bfloat")):
            raise UserError(
                f"its input '{name}' holds integers out of a file of the data set, and nothing says which integers are "
                "legal: state the task yourself, with the domain of that input"
            )
        if kinds[name] is InputKind.CUSTOM and definition.custom_inputs_entrypoint is None:
            raise UserError(f"its input '{name}' is drawn by a function of the reference, which it does not name")
    return kinds


def _scalars(definition: Definition) -> Iterator[str]:
    return (name for name, tensor in definition.inputs.items() if tensor.shape is None)


def _setting(definition: Definition, workload: TraceWorkload, constants: Mapping[str, str]) -> Setting:
    setting: Setting = {}
    for name, axis in definition.axes.items():
        if axis.type is AxisKind.EXPR:
            continue
        if axis.value is None and name not in workload.axes:
            raise UserError(f"one of its workloads states no size for the axis '{name}'")
        setting[constants[name]] = workload.axes[name] if axis.value is None else axis.value
    for name in _scalars(definition):
        if name not in workload.inputs:
            raise UserError(f"one of its workloads states no value for the scalar '{name}'")
        setting[constants[name]] = workload.inputs[name].value
    return setting


def _imports(source: str) -> str:
    return "" if any(line.strip() == "import torch" for line in source.splitlines()) else "import torch\n"


def _expressions(definition: Definition, constants: Mapping[str, str]) -> str:
    """Return the axes that follow from others, as assignments in the order of the definition."""
    lines: list[str] = []
    for name, axis in definition.axes.items():
        if axis.expression is not None:
            renamed = _with_names(axis.expression, constants)
            lines.append(f"{constants[name]} = int({renamed})\n")
    return "\n\n" + "".join(lines) if lines else ""


def _with_names(expression: str, constants: Mapping[str, str]) -> str:
    try:
        tree = ast.parse(expression, mode="eval")
    except SyntaxError as error:
        raise UserError(f"its axis expression '{expression}' is no arithmetic") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = constants.get(node.id, node.id)
        elif not isinstance(
            node, ast.Expression | ast.BinOp | ast.UnaryOp | ast.Constant | ast.operator | ast.unaryop | ast.Load
        ):
            raise UserError(f"its axis expression '{expression}' is no arithmetic over axes")
    return ast.unparse(tree)


def _model(definition: Definition, kinds: Mapping[str, InputKind], constants: Mapping[str, str]) -> str:
    names = ", ".join(definition.inputs)
    call = f"return run({names})"
    if _returns_dict(definition.reference):
        outputs = ", ".join(f'result["{name}"]' for name in definition.outputs)
        call = f"result = run({names})\n        return {outputs}"
    custom = ""
    if InputKind.CUSTOM in kinds.values():
        sizes = ", ".join(f'"{name}": {constant}' for name, constant in constants.items())
        custom = f'    custom = {definition.custom_inputs_entrypoint}({{{sizes}}}, torch.device("cpu"))\n'
    drawn = [f"        {_drawn(name, tensor, kinds[name], constants)}," for name, tensor in definition.inputs.items()]
    title = " ".join((definition.description or definition.name).split(".")[0].split()).replace('"', "'")
    return _MODEL.format(title=title.replace("\\", ""), names=names, call=call, custom=custom, drawn="\n".join(drawn))


def _drawn(name: str, tensor: StatedTensor, kind: InputKind, constants: Mapping[str, str]) -> str:
    if tensor.shape is None:
        return constants[name]
    if kind is InputKind.CUSTOM:
        return f'custom["{name}"]'
    sizes = ", ".join(constants.get(axis, axis) for axis in tensor.shape) or "()"
    dtype = DType(tensor.dtype)
    if dtype is DType.BOOL:
        return f"torch.rand({sizes}) < 0.5"
    if not dtype.is_floating:
        return f"torch.rand({sizes}).round().to(torch.{dtype})"
    return f"torch.randn({sizes}, dtype=torch.{dtype})"


def _returns_dict(reference: str) -> bool:
    run = function_called(parse_source(reference), "run")
    returns = (node for node in ast.walk(run) if isinstance(node, ast.Return)) if run else ()
    return any(isinstance(node.value, ast.Dict) for node in returns)


def _file_notes(kinds: Mapping[str, InputKind], workloads: Sequence[TraceWorkload]) -> Iterator[str]:
    for name, kind in kinds.items():
        if kind is InputKind.SAFETENSORS:
            path = next(workload.inputs[name].path for workload in workloads if name in workload.inputs)
            yield f"'{name}' has values out of the data set's file {path}; verification draws values of its own"
