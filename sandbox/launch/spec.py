"""`launch.toml`: how a raw candidate's kernels are launched, as expressions over the shapes of its inputs.

The format is described in `docs/raw-launch.md`. `parse_launch_spec` checks everything that can be checked without
shapes; `LaunchSpec.plan` evaluates it for one call.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import Discriminator, Field, StringConstraints, Tag, ValidationError, model_validator

from sandbox.launch.expressions import ExpressionError, evaluate
from sandbox.values import BuildError, BuildErrorKind
from tasks.values import DType, Value

SPEC_FILE = "launch.toml"

_AXES = 3
_MAX_ELEMENTS = 1 << 40

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]
Expression = Annotated[int | str, Field(union_mode="left_to_right")]
Sizes = Annotated[tuple[Expression, ...], Field(max_length=16)]
Dimensions = Annotated[tuple[Expression, ...], Field(min_length=1, max_length=_AXES)]


class BufferSpec(Value):
    """A tensor that is allocated for each call."""

    name: Name
    """By which arguments and expressions refer to it."""
    dtype: str
    """An element type, or the name of an input whose type it takes."""
    shape: Sizes
    """Sizes."""
    zero: bool = False
    """Whether it is filled with zeros before the first launch."""


class ScalarArgument(Value):
    """A number that a kernel takes: exactly one of the fields."""

    int32: Expression | None = None
    int64: Expression | None = None
    float32: float | None = None
    float64: float | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError("a scalar argument has exactly one type, for instance { int32 = 'x.shape[0]' }")
        return self


def _argument_form(value: object) -> str:
    """Tell which of its two forms an argument has, so that a mistake in it is told about that form."""
    return "tensor" if isinstance(value, str) else "scalar"


Argument = Annotated[
    Annotated[Name, Tag("tensor")] | Annotated[ScalarArgument, Tag("scalar")], Discriminator(_argument_form)
]


class LaunchStep(Value):
    """One launch."""

    kernel: Name
    """Name of an `extern "C" __global__` function."""
    grid: Dimensions
    """Blocks per dimension."""
    block: Dimensions
    """Threads per dimension."""
    dynamic_shared: Expression = 0
    """Bytes of dynamic shared memory."""
    args: tuple[Argument, ...]
    """In the kernel's order: names of tensors, passed as pointers, and scalars."""


@dataclass(frozen=True, slots=True)
class PlannedBuffer:
    """A tensor to allocate."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    zero: bool


@dataclass(frozen=True, slots=True)
class PlannedScalar:
    """A number of a given type."""

    dtype: DType
    value: int | float


@dataclass(frozen=True, slots=True)
class PlannedLaunch:
    """A launch with every figure known; an argument is a tensor's name or a scalar."""

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    dynamic_shared: int
    arguments: tuple[str | PlannedScalar, ...]


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """Everything that one call of a raw candidate does."""

    inputs: tuple[str, ...]
    outputs: tuple[PlannedBuffer, ...]
    scratch: tuple[PlannedBuffer, ...]
    launches: tuple[PlannedLaunch, ...]


@dataclass(frozen=True, slots=True)
class InputShape:
    """Type and sizes of one argument of the call."""

    dtype: DType
    shape: tuple[int, ...]


class LaunchSpec(Value):
    """The whole specification."""

    inputs: tuple[Name, ...]
    """Names of the task's tensors, in the order in which a candidate receives them."""
    symbols: dict[Name, Expression] = {}
    """Names for expressions; a later one may use an earlier one."""
    outputs: Annotated[tuple[BufferSpec, ...], Field(min_length=1)]
    """What is returned, in order."""
    scratch: tuple[BufferSpec, ...] = ()
    """Work space, not returned."""
    launches: Annotated[tuple[LaunchStep, ...], Field(min_length=1, max_length=64)]
    """Launches, in order, on one stream."""

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        names = [*self.inputs, *(buffer.name for buffer in (*self.outputs, *self.scratch))]
        if len(set(names)) != len(names):
            raise ValueError("two tensors have the same name")
        dtypes = {*self.inputs, *DType}
        for buffer in (*self.outputs, *self.scratch):
            if buffer.dtype not in dtypes:
                raise ValueError(f"`{buffer.dtype}` is neither an element type nor an input")
        for step in self.launches:
            unknown = [item for item in step.args if isinstance(item, str) and item not in names]
            if unknown:
                raise ValueError(f"`{step.kernel}` is given `{unknown[0]}`, which is no tensor of this specification")
        return self

    def plan(self, arguments: Sequence[InputShape]) -> LaunchPlan:
        """Evaluate every expression for the given arguments.

        Raises
        ------
        ExpressionError
            An expression has no value at these shapes, or the value is out of range.
        """
        if len(arguments) != len(self.inputs):
            raise ExpressionError(f"{SPEC_FILE} names {len(self.inputs)} inputs, the task gives {len(arguments)}")
        given = dict(zip(self.inputs, arguments, strict=True))
        scope = _Scope(given, self.symbols)
        outputs = tuple(scope.buffer(spec) for spec in self.outputs)
        scratch = tuple(scope.buffer(spec) for spec in self.scratch)
        launches = tuple(scope.launch(step) for step in self.launches)
        return LaunchPlan(inputs=self.inputs, outputs=outputs, scratch=scratch, launches=launches)


def parse_launch_spec(text: str) -> LaunchSpec:
    """Parse and check a specification.

    Raises
    ------
    BuildError
        It is not TOML, or not a launch specification; of kind `spec`.
    """
    try:
        return LaunchSpec.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BuildError(BuildErrorKind.SPEC, f"{SPEC_FILE} is not TOML: {error}", "") from error
    except RecursionError as error:
        raise BuildError(BuildErrorKind.SPEC, f"{SPEC_FILE} nests too deeply to be read", "") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        where = f"{SPEC_FILE}: {place}" if place else SPEC_FILE
        raise BuildError(BuildErrorKind.SPEC, f"{where}: {first['msg']}", str(error)) from error


class _Scope:
    """Evaluates the parts of a specification at given shapes."""

    def __init__(self, given: Mapping[str, InputShape], symbols: Mapping[str, int | str]) -> None:
        self._dtypes = {name: tensor.dtype for name, tensor in given.items()}
        self._shapes = {name: tensor.shape for name, tensor in given.items()}
        self._symbols: dict[str, int] = {}
        for name, expression in symbols.items():
            self._symbols[name] = self._number(expression)

    def buffer(self, spec: BufferSpec) -> PlannedBuffer:
        shape = tuple(self._number(size) for size in spec.shape)
        elements = 1
        for size in shape:
            elements *= size
        if min(shape, default=0) < 0 or elements > _MAX_ELEMENTS:
            raise ExpressionError(f"`{spec.name}` would have the shape {list(shape)}")
        dtype = self._dtypes[spec.dtype] if spec.dtype in self._dtypes else DType(spec.dtype)
        self._shapes[spec.name] = shape
        return PlannedBuffer(name=spec.name, dtype=dtype, shape=shape, zero=spec.zero)

    def launch(self, step: LaunchStep) -> PlannedLaunch:
        return PlannedLaunch(
            kernel=step.kernel,
            grid=self._dimensions(step.grid),
            block=self._dimensions(step.block),
            dynamic_shared=self._number(step.dynamic_shared),
            arguments=tuple(item if isinstance(item, str) else self._scalar(item) for item in step.args),
        )

    def _dimensions(self, expressions: Sequence[int | str]) -> tuple[int, int, int]:
        x, y, z = (*(self._number(expression) for expression in expressions), 1, 1)[:_AXES]
        return x, y, z

    def _scalar(self, argument: ScalarArgument) -> PlannedScalar:
        if argument.float32 is not None:
            return PlannedScalar(DType.FLOAT32, argument.float32)
        if argument.float64 is not None:
            return PlannedScalar(DType.FLOAT64, argument.float64)
        dtype, expression = (
            (DType.INT32, argument.int32) if argument.int32 is not None else (DType.INT64, argument.int64 or 0)
        )
        value = self._number(expression)
        if not -(1 << 8 * dtype.itemsize - 1) <= value < 1 << 8 * dtype.itemsize - 1:
            raise ExpressionError(f"{value} does not fit {dtype}")
        return PlannedScalar(dtype, value)

    def _number(self, expression: int | str) -> int:
        return evaluate(str(expression), self._shapes, self._symbols)
