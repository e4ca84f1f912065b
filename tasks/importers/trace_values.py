"""The schema that flashinfer-bench and SOL-ExecBench share, as far as it says what is to be computed."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.importers.values import Scalar


class _Stated(BaseModel):
    """Base of what is read from a file of others: fields that say nothing about the op are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class AxisKind(StrEnum):
    """How an axis gets its size."""

    CONST = "const"
    VAR = "var"
    EXPR = "expr"


class StatedAxis(_Stated):
    """One axis of a definition."""

    type: AxisKind
    value: int | None = None
    expression: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.type is AxisKind.CONST) != (self.value is not None):
            msg = "an axis has a value when, and only when, it is 'const'"
            raise ValueError(msg)
        if (self.type is AxisKind.EXPR) != (self.expression is not None):
            msg = "an axis has an expression when, and only when, it is 'expr'"
            raise ValueError(msg)
        return self


class StatedTensor(_Stated):
    """One input or output of a definition."""

    shape: tuple[str, ...] | None
    """Names of axes, or digits for a size that never varies; None for a plain number."""
    dtype: str


class Definition(_Stated):
    """What is to be computed."""

    name: str
    description: str | None = None
    axes: dict[str, StatedAxis]
    inputs: dict[str, StatedTensor] = Field(min_length=1)
    outputs: dict[str, StatedTensor]
    reference: str
    custom_inputs_entrypoint: str | None = None
    tags: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _axes_exist(self) -> Self:
        named = {axis for tensor in self.inputs.values() for axis in tensor.shape or () if not axis.isdigit()}
        unknown = named - self.axes.keys()
        if unknown:
            msg = f"a shape names the axis '{min(unknown)}', which is not defined"
            raise ValueError(msg)
        return self


class InputKind(StrEnum):
    """Where a workload takes the values of an input from."""

    RANDOM = "random"
    SCALAR = "scalar"
    SAFETENSORS = "safetensors"
    CUSTOM = "custom"


class StatedInput(_Stated):
    """One input of a workload."""

    type: InputKind
    value: Scalar = None
    path: str = ""


class TraceWorkload(_Stated):
    """Sizes for the axes that vary, and where each input comes from."""

    axes: dict[str, int]
    inputs: dict[str, StatedInput] = {}
