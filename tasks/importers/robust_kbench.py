"""robust-kbench: a folder for each task, with `func_forward.py` or `func_backward.py` and a JSON file of settings."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from pydantic import ConfigDict, ValidationError

from tasks.constants import bound_names, parse_source
from tasks.errors import UserError
from tasks.importers.files import read_json, read_text
from tasks.importers.licences import licence_above
from tasks.importers.sources import class_called, free_name, function_called, parameters_of, renamed, scalar_defaults
from tasks.importers.values import BackwardStated, Draft, Found, Setting, Suite
from tasks.values import Direction, Provenance, Value

_GIVEN_INPUTS = "suite_inputs"
"""What the suite's own `get_inputs` is called in the reference: it takes the settings as arguments."""

_INITIAL_VALUES = frozenset({"init_method"})
"""Settings that only say which numbers the parameters begin with."""

_SOURCE = "robust-kbench's own settings"


class _Settings(Value):
    """The file `config_forward.json` or `config_backward.json`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    single_input_configs: tuple[Setting, ...] = ({},)
    single_init_configs: tuple[Setting, ...] = ({},)
    single_shared_configs: tuple[Setting, ...] = ({},)
    multi_input_configs: tuple[Setting, ...] = ()
    multi_init_configs: tuple[Setting, ...] = ()
    multi_shared_configs: tuple[Setting, ...] = ()

    def expanded(self) -> Iterator[tuple[Setting, Setting]]:
        """Yield (constructor, inputs): every constructor setting with every input setting and every shared one.

        The single settings come first. Shared values override both, as in the suite.
        """
        single = product(self.single_init_configs, self.single_input_configs, self.single_shared_configs)
        several = product(self.multi_init_configs, self.multi_input_configs, self.multi_shared_configs)
        for init, inputs, shared in (*single, *several):
            yield init | shared, inputs | shared


class RobustKBenchImporter:
    """Reads robust-kbench tasks (see `tasks.importers.importing.Importer`)."""

    suite = Suite.ROBUST_KBENCH

    def find(self, root: Path) -> tuple[Found, ...]:
        """Return the tasks below `root`: `NAME/forward` and `NAME/backward`, with the folders between."""
        base = root / "tasks" if (root / "tasks").is_dir() else root
        files = [
            (direction, file)
            for direction in Direction
            for file in base.rglob(f"func_{direction}.py")
            if _settings_file(file, direction).is_file()
        ]
        named = [Found(id=f"{_relative(file.parent, base)}/{direction}", path=file) for direction, file in files]
        return tuple(sorted(named, key=lambda found: found.id))

    def read(self, found: Found, root: Path) -> Draft:
        """Return the task with all its settings expanded.

        Raises
        ------
        UserError
            A file is missing or not of the format.
        """
        direction = Direction(found.path.stem.removeprefix("func_"))
        source = read_text(found.path)
        settings = tuple(_read_settings(_settings_file(found.path, direction)).expanded())
        calls = _Calls.of(source, settings)
        backward = _stated_backward(parse_source(source)) if direction is Direction.BACKWARD else None
        return Draft(
            name=f"robust-kbench-{found.id}",
            body=renamed(source, {"get_inputs": _GIVEN_INPUTS, "get_init_inputs": "suite_init_inputs"}) + calls.source,
            settings=calls.settings,
            source=_SOURCE,
            backward=backward.stated if backward else None,
            notes=(*calls.notes, *(backward.notes if backward else ())),
            provenance=Provenance(origin=f"robust-kbench, task {found.id}", licence=licence_above(found.path, root)),
        )


def _settings_file(source: Path, direction: Direction) -> Path:
    return source.with_name(f"config_{direction}.json")


def _relative(folder: Path, base: Path) -> str:
    return folder.relative_to(base).as_posix() if folder != base else folder.name


def _read_settings(path: Path) -> _Settings:
    try:
        return _Settings.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"'{path}' is no file of settings of robust-kbench: {place}: {first['msg']}") from error


@dataclass(frozen=True, slots=True)
class _Calls:
    """How the reference's own `get_inputs()` and `get_init_inputs()` pass the settings on."""

    settings: tuple[Setting, ...]
    """By the names of the constants."""
    source: str
    notes: tuple[str, ...]

    @classmethod
    def of(cls, source: str, expanded: Sequence[tuple[Setting, Setting]]) -> _Calls:
        """Complete the settings with the defaults of the source, so that every size is a constant.

        A name that the constructor and the inputs share is one constant, unless some setting gives it two values.
        """
        tree, taken = parse_source(source), bound_names(source)
        model, inputs = class_called(tree, "Model"), function_called(tree, "get_inputs")
        if model is None or inputs is None:
            raise UserError("the task defines no 'class Model' or no 'get_inputs'")
        constructor = function_called(model, "__init__")
        init_full = [_completed(constructor, init) for init, _ in expanded]
        inputs_full = [_completed(inputs, given) for _, given in expanded]
        apart = {
            name
            for init, given in zip(init_full, inputs_full, strict=True)
            for name in init.keys() & given.keys()
            if init[name] != given[name]
        }
        init_names = {name: free_name(f"init_{name}" if name in apart else name, taken) for name in init_full[0]}
        input_names = {name: free_name(name, taken) for name in inputs_full[0]}
        settings = [
            {init_names[n]: v for n, v in init.items()} | {input_names[n]: v for n, v in given.items()}
            for init, given in zip(init_full, inputs_full, strict=True)
        ]
        kept, notes = _without_initial_values(settings)
        return cls(kept, _source(init_names, input_names), notes)


def _completed(function: ast.FunctionDef | None, given: Setting) -> Setting:
    """Return the arguments of a call: what is given and accepted, and the literal defaults of the rest."""
    if function is None:
        return {}
    defaults = scalar_defaults(function)
    return {name: given.get(name, defaults.get(name)) for name in parameters_of(function) if name in defaults | given}


def _without_initial_values(settings: Sequence[Setting]) -> tuple[tuple[Setting, ...], tuple[str, ...]]:
    """Let every setting initialise parameters in the first one's way, and leave out those that are then the same."""
    first = {name: value for name, value in settings[0].items() if name in _INITIAL_VALUES}
    kept: list[Setting] = []
    for setting in settings:
        if (same := setting | first) not in kept:
            kept.append(same)
    others = sorted({str(setting[name]) for setting in settings for name in first} - set(map(str, first.values())))
    if not others:
        return tuple(kept), ()
    listed = ", ".join(others)
    note = f"other ways to initialise the parameters ({listed}) are left out: verification draws parameters of its own"
    return tuple(kept), (note,)


def _source(init_names: dict[str, str], input_names: dict[str, str]) -> str:
    given = ", ".join(f"{name}={constant}" for name, constant in input_names.items())
    constructed = ", ".join(f'"{name}": {constant}' for name, constant in init_names.items())
    return (
        f"\n\ndef get_inputs():\n    return {_GIVEN_INPUTS}({given})\n"
        f"\n\ndef get_init_inputs():\n    return {{{constructed}}}\n"
    )


@dataclass(frozen=True, slots=True)
class _Backward:
    stated: BackwardStated
    notes: tuple[str, ...]


def _stated_backward(tree: ast.Module) -> _Backward:
    """Read off which tensors the suite's autograd function takes, and which of them it saves."""
    model, function = class_called(tree, "Model"), class_called(tree, "AutogradFunction")
    called = function_called(model, "forward") if model else None
    forward = function_called(function, "forward") if function else None
    if model is None or called is None or forward is None:
        raise UserError("the task states no backward pass: it lacks 'class AutogradFunction' or 'Model.forward'")
    passed = _tensors_passed(called, _state_of(model))
    tensors = dict(zip(parameters_of(forward)[1:], passed, strict=False))
    known = {name: tensor for name, tensor in tensors.items() if tensor}
    saved = [known.get(name) or ("output" if name in _returned(forward) else None) for name in _saved(forward)]
    lost = [name for name, tensor in zip(_saved(forward), saved, strict=True) if tensor is None]
    kept = [name for name in saved if name] if not lost else [*known.values()]
    notes = (f"{', '.join(lost)}, which the suite saves between the passes, a kernel computes again",) if lost else ()
    stated = BackwardStated(saved=tuple(dict.fromkeys(kept)), differentiated=tuple(known.values()))
    return _Backward(stated, notes)


def _state_of(model: ast.ClassDef) -> set[str]:
    """Return the attributes that the constructor makes parameters or buffers."""
    constructor = function_called(model, "__init__")
    state: set[str] = set()
    for node in ast.walk(constructor or model):
        match node:
            case ast.Assign(targets=[ast.Attribute(attr=name)], value=ast.Call(func=made)):
                state |= {name} if ast.unparse(made).endswith("Parameter") else set()
            case ast.Call(func=ast.Attribute(attr="register_buffer"), args=[ast.Constant(value=str(name)), *_]):
                state.add(name)
    return state


def _tensors_passed(forward: ast.FunctionDef, state: set[str]) -> list[str]:
    """Return what `Model.forward` calls its `fn` with: names of inputs and parameters, empty for anything else."""
    inputs = set(parameters_of(forward)[1:])
    for node in ast.walk(forward):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in inputs:
            return [_tensor(argument, inputs, state) for argument in node.args]
    raise UserError("the task's 'Model.forward' does not call the function that it is given")


def _tensor(argument: ast.expr, inputs: set[str], state: set[str]) -> str:
    """Return the name of an input or of a parameter, `linear.weight` for one of a submodule; empty for a scalar."""
    match argument:
        case ast.Name(id=name) if name in inputs:
            return name
        case ast.Attribute(attr=name, value=ast.Name(id="self")) if name in state:
            return name
        case ast.Attribute(value=ast.Attribute()) if (text := ast.unparse(argument)).startswith("self."):
            return text.removeprefix("self.")
    return ""


def _saved(forward: ast.FunctionDef) -> list[str]:
    return [
        argument.id
        for node in ast.walk(forward)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".save_for_backward")
        for argument in node.args
        if isinstance(argument, ast.Name)
    ]


def _returned(forward: ast.FunctionDef) -> set[str]:
    return {
        node.value.id for node in ast.walk(forward) if isinstance(node, ast.Return) and isinstance(node.value, ast.Name)
    }
