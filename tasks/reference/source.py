"""Executes a reference source and finds the op in it."""

from __future__ import annotations

import ast
import inspect
import linecache
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch

from tasks.constants import SOURCE_NAME, parse_source, with_constants
from tasks.errors import UserError
from tasks.values import ReferenceForm

_MODULE_NAME = "kernelwright_reference"
_EXAMPLES = ("get_inputs", "example_inputs")
_RESERVED = frozenset({*_EXAMPLES, "get_init_inputs"})
_LONGEST_ERROR = 300
_CPU = "cpu"
_CARD = re.compile(r"cuda(?::\d+)?")


@contextmanager
def blame_reference(doing: str) -> Iterator[None]:
    """Turn whatever the reference raises into one sentence: what was being done, where, and its own error."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == SOURCE_NAME]
        where = f" (line {lines[-1]})" if lines else ""
        if isinstance(error, ModuleNotFoundError) and error.name:
            raise UserError(_not_installed(error.name, where)) from error
        text = " ".join(str(error).split())[:_LONGEST_ERROR]
        raise UserError(f"the reference fails {doing}{where}: {type(error).__name__}: {text}") from error


def execute(source: str, constants: Mapping[str, int]) -> ModuleType:
    """Execute `source` as a module with the named module-level constants replaced.

    Where tensors are made on the CPU by default, a device that the source calls `"cuda"` is the CPU too.
    """
    tree = with_constants(source, constants)
    if torch.get_default_device().type == _CPU:
        tree = ast.fix_missing_locations(_OnTheCpu().visit(tree))
    linecache.cache[SOURCE_NAME] = (len(source), None, source.splitlines(keepends=True), SOURCE_NAME)
    module = ModuleType(_MODULE_NAME)
    module.__file__ = SOURCE_NAME
    sys.modules[_MODULE_NAME] = module  # dataclasses and typing look the module of a class up there
    with blame_reference("when its file is executed"):
        exec(compile(tree, SOURCE_NAME, "exec"), module.__dict__)  # noqa: S102 - the sandboxed child's very purpose
    return module


class _OnTheCpu(ast.NodeTransformer):
    """Writes the device `"cuda"` as `"cpu"` and `.cuda()` as `.cpu()`; texts that only mention the word stay."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        is_card = isinstance(node.value, str) and _CARD.fullmatch(node.value)
        return ast.copy_location(ast.Constant(_CPU), node) if is_card else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "cuda":
            node.func.attr, node.args, node.keywords = _CPU, [], []
        return node


@dataclass(frozen=True, slots=True)
class Entry:
    """Where the op is in a source."""

    form: ReferenceForm
    name: str
    """Class or function."""


def find_entry(source: str, module: ModuleType) -> Entry:
    """Find the class or function that states the op.

    A class `Model` (or the only `nn.Module` class) is the op; otherwise the one public function that takes the
    example inputs and that no other such function calls.

    Raises
    ------
    UserError
        There is no op, no example inputs, or more than one function that could be meant.
    """
    tree = parse_source(source)
    if not any(hasattr(module, name) for name in _EXAMPLES):
        raise UserError(_not_a_task(tree))
    modules = [name for name in _classes(tree) if _is_module_class(getattr(module, name, None))]
    if "Model" in modules:
        return Entry(ReferenceForm.MODULE, "Model")
    if len(modules) == 1:
        return Entry(ReferenceForm.MODULE, modules[0])
    if modules:
        raise UserError(f"the file has several nn.Module classes ({', '.join(modules)}): name the op's class 'Model'")
    functions = [name for name in _functions(tree) if name not in _RESERVED and not name.startswith("_")]
    if not functions:
        raise UserError(_not_a_task(tree))
    return Entry(ReferenceForm.FUNCTION, _choose_function(tree, module, functions))


def example_values(module: ModuleType) -> Sequence[object] | Mapping[str, object]:
    """Return what `get_inputs()` (or `example_inputs`) gives: a sequence, or a mapping by name."""
    name = next(name for name in _EXAMPLES if hasattr(module, name))
    stated = getattr(module, name)
    with blame_reference(f"in {name}()"):
        values = stated() if callable(stated) else stated
    if isinstance(values, torch.Tensor):
        return [values]
    if isinstance(values, Mapping | list | tuple):
        return values
    raise UserError(f"{name} gives {type(values).__name__} where a list of tensors is expected")


@dataclass(frozen=True, slots=True)
class Arguments:
    """Example values matched to the parameters of the op."""

    bound: inspect.BoundArguments

    def named(self) -> dict[str, object]:
        """Return every value by name; those of `*args` are called `args_0`, `args_1`, ..."""
        named: dict[str, object] = {}
        for name, value in self.bound.arguments.items():
            kind = self.bound.signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                named |= {f"{name}_{position}": item for position, item in enumerate(value)}
            elif kind is inspect.Parameter.VAR_KEYWORD:
                named |= value
            else:
                named[name] = value
        return named

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the values that are tensors by name; the others are part of the op."""
        return {name: value for name, value in self.named().items() if isinstance(value, torch.Tensor)}

    def rebound(self, values: Mapping[str, object]) -> inspect.BoundArguments:
        """Return the same call with other values; a name that `values` lacks keeps its example value."""
        now = self.named() | dict(values)
        arguments: dict[str, Any] = {}
        for name, value in self.bound.arguments.items():
            kind = self.bound.signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                arguments[name] = tuple(now[f"{name}_{position}"] for position in range(len(value)))
            elif kind is inspect.Parameter.VAR_KEYWORD:
                arguments[name] = {key: now[key] for key in value}
            else:
                arguments[name] = now[name]
        return inspect.BoundArguments(self.bound.signature, arguments)


def bind_examples(
    function: Callable[..., Any], values: Sequence[object] | Mapping[str, object], entry: str
) -> Arguments:
    """Match example values to the parameters of `function`; `entry` names it in the error."""
    signature = inspect.signature(function)
    try:
        bound = signature.bind(**values) if isinstance(values, Mapping) else signature.bind(*values)
    except TypeError as error:
        raise UserError(f"'{entry}{signature}' cannot take the example inputs: {error}") from error
    return Arguments(bound)


def _not_installed(module: str, where: str) -> str:
    package = module.partition(".")[0]
    return (
        f"the reference imports '{module}'{where}, which is not installed here: install the package that provides it "
        f"(usually `pip install {package}`) beside Kernelwright; modules of your own are found for package.module:Name"
    )


def _choose_function(tree: ast.Module, module: ModuleType, names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    values = example_values(module)
    fitting = [name for name in names if _fits(getattr(module, name, None), values)]
    called = {
        node.id
        for definition in tree.body
        if isinstance(definition, ast.FunctionDef) and definition.name in fitting
        for node in ast.walk(definition)
        if isinstance(node, ast.Name) and node.id != definition.name
    }
    outermost = [name for name in fitting if name not in called]
    if len(outermost) == 1:
        return outermost[0]
    what = "several functions take" if outermost else "no function takes"
    raise UserError(
        f"{what} the example inputs ({', '.join(outermost or names)}): "
        "keep one public function and begin the names of the others with '_'"
    )


def _fits(function: object, values: Sequence[object] | Mapping[str, object]) -> bool:
    if not callable(function):
        return False
    try:
        bind_examples(function, values, "")
    except UserError:
        return False
    return True


def _not_a_task(tree: ast.Module) -> str:
    classes, functions = ", ".join(_classes(tree)) or "none", ", ".join(_functions(tree)) or "none"
    return (
        "this file states no task: looked for 'class Model(nn.Module)' or a function, with 'get_inputs()' or "
        f"'example_inputs' beside it; found classes: {classes}; functions: {functions}"
    )


def _classes(tree: ast.Module) -> list[str]:
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef)]


def _functions(tree: ast.Module) -> list[str]:
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def _is_module_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, torch.nn.Module)
