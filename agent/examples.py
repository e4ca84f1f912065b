"""The kernel that a first prompt shows: a right one, stored for the nearest *other* task of the library.

Models write a better first kernel when they see one that was accepted for something similar. So the example has to be
near, and must not give the answer away: a task of the same slug is never shown, nor one whose reference uses the same
operators. Nearness is read off the references' own operators, the rare ones counting more, and executes nothing; the
same task always gets the same example.
"""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agent.settings import AgentSettings
from sandbox.values import Finding, Language, SourceFile
from tasks.constants import parse_source
from tasks.errors import UserError
from tasks.loading import library
from tasks.values import Family, Task, Value

_PACKAGE = Path(__file__).parent
_SHIPPED = _PACKAGE / "example_kernels"
"""Where an installed Kernelwright has them."""
_CHECKOUT = _PACKAGE.parent
"""Where a checkout has them, in `examples/kernels`; told by its `pyproject.toml`."""

_PLACES = {Language.CUDA: "{slug}.cu", Language.TRITON: "triton/{slug}.py"}

_INPUTS = frozenset({"get_inputs", "get_init_inputs"})
_LAYOUT = frozenset(
    {
        *("view", "reshape", "permute", "transpose", "t", "flatten", "unflatten", "squeeze", "unsqueeze", "expand"),
        *("contiguous", "size", "dim", "numel", "to", "float", "half", "bfloat16", "double", "long", "int", "bool"),
        *(
            "empty",
            "emptylike",
            "zeros",
            "zeroslike",
            "ones",
            "oneslike",
            "full",
            "fulllike",
            "arange",
            "rand",
            "randn",
        ),
        *("parameter", "registerbuffer", "append", "extend"),
        *("super", "init", "len", "range", "tuple", "list", "dict", "enumerate", "zip", "isinstance", "getattr"),
    }
)
"""Calls that compute nothing, in the spelling of `_spelled`."""


class Example(Value):
    """A right kernel and what it is for."""

    task: Task
    """The other task."""
    file: SourceFile
    """Its kernel, whole."""


class Examples:
    """The stored kernels of one folder.

    Parameters
    ----------
    folder
        Holds `SLUG.cu` and `triton/SLUG.py` for tasks of the library; None where there are none.
    longest
        Characters that reference and kernel of an example may have together.
    """

    def __init__(self, folder: Path | None, longest: int) -> None:
        self._folder = folder
        self._longest = longest

    @classmethod
    def of(cls, settings: AgentSettings) -> Examples:
        """Return the kernels that the settings name, else those that come with Kernelwright."""
        return cls(settings.example_kernels_dir or _own_folder(), settings.example_characters)

    def finding(self) -> Finding:
        """Say how many kernels there are, for `kernelwright doctor`."""
        count = len(list(self._folder.glob("*.cu"))) if self._folder else 0
        return Finding(
            name="example kernels",
            ok=count > 0,
            detail=f"{count} in {self._folder}" if self._folder else "none came with this installation",
            remedy="set KERNELWRIGHT_EXAMPLE_KERNELS_DIR to the folder examples/kernels of a checkout; without them a "
            "model's first prompt shows no kernel of a similar task",
            required=False,
        )

    def nearest(self, task: Task, language: Language) -> Example | None:
        """Return the example for a task, None where nothing fits.

        Parameters
        ----------
        task
            Whose first prompt it is for. Tasks of its family are looked at; of all families where it states none, and
            then only those that have an operator in common with it.
        language
            What candidates are to be written in.

        Raises
        ------
        UserError
            The kernel's file cannot be read as text.
        """
        near = sorted(self._candidates(task, language), key=lambda one: one.rank)
        return next(filter(None, (self._read(one.task, language) for one in near)), None)

    def _candidates(self, task: Task, language: Language) -> Iterator[_Candidate]:
        own = operators(task.source)
        weights = _weights()
        for other in self._stored(language):
            theirs = operators(other.source)
            if other.slug == task.slug or (theirs == own and other.direction is task.direction):
                continue
            likeness = _likeness(own, theirs, weights)
            if other.family is task.family is not Family.OTHER or (task.family is Family.OTHER and likeness > 0):
                yield _Candidate(task=other, turned=other.direction is not task.direction, likeness=likeness)

    def _stored(self, language: Language) -> tuple[Task, ...]:
        place = _PLACES.get(language)
        if self._folder is None or place is None:
            return ()
        return tuple(task for task in library() if (self._folder / place.format(slug=task.slug)).is_file())

    def _read(self, task: Task, language: Language) -> Example | None:
        """Return a stored kernel with its task; None for one that is too long, for a cut kernel shows nothing right."""
        path = (self._folder or Path()) / _PLACES[language].format(slug=task.slug)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"the example kernel '{path}' cannot be read: {error}") from error
        if len(text) + len(task.source) > self._longest:
            return None
        return Example(task=task, file=SourceFile(name=path.name, text=text))


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A task that an example may be taken from."""

    task: Task
    turned: bool
    """Whether it goes the other direction: the arguments then follow other rules."""
    likeness: float

    @property
    def rank(self) -> tuple[bool, float, str]:
        """The nearest first; the slug settles what is equally near."""
        return (self.turned, -self.likeness, self.task.slug)


@cache
def operators(source: str) -> frozenset[str]:
    """Return the operators that a reference names, each in one spelling: `log_softmax` is `nn.LogSoftmax`."""
    tree = parse_source(source)
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    computing = [node for node in tree.body if not (isinstance(node, ast.FunctionDef) and node.name in _INPUTS)]
    named = {name for statement in computing for name in _named(statement) if name not in defined}
    return frozenset(map(_spelled, named)) - _LAYOUT


def _named(statement: ast.stmt) -> Iterator[str]:
    for node in ast.walk(statement):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="self"))):
                pass  # a submodule, whose kind its construction names
            case ast.Call(func=ast.Attribute(attr=name)) | ast.Call(func=ast.Name(id=name)):
                yield name
            case ast.BinOp(op=operation) | ast.AugAssign(op=operation):
                yield "matmul" if isinstance(operation, ast.MatMult) else type(operation).__name__


def _spelled(name: str) -> str:
    return {"mult": "mul", "truediv": "div"}.get(name.lower(), name.lower().replace("_", ""))


@cache
def _weights() -> dict[str, float]:
    """Return what an operator counts: the more, the fewer tasks of the library name it."""
    seen = Counter(name for task in library() for name in operators(task.source))
    return {name: math.log((1 + len(library())) / count) for name, count in seen.items()}


def _likeness(own: frozenset[str], other: frozenset[str], weights: dict[str, float]) -> float:
    """Return the weight of the operators in common over that of all; 0 to 1. Those the library lacks count one."""
    common = _total(sorted(own & other), weights)
    return common / _total(sorted(own | other), weights) if common else 0.0


def _total(names: Sequence[str], weights: dict[str, float]) -> float:
    return math.fsum(weights.get(name, 1.0) for name in names)


def _own_folder() -> Path | None:
    if _SHIPPED.is_dir():
        return _SHIPPED
    beside = _CHECKOUT / "examples" / "kernels"
    return beside if (_CHECKOUT / "pyproject.toml").is_file() and beside.is_dir() else None
