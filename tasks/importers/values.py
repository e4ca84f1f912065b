"""What an importer finds, what it reads, and what came of it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from tasks.constants import with_header
from tasks.values import Direction, Provenance, Task, Tolerance, Value

Scalar = bool | int | float | str | None
"""A setting's value, as JSON and YAML spell it."""

Setting = dict[str, Scalar]
"""One set of sizes and options, by the names that the reference's constants have."""


class Suite(StrEnum):
    """The suites that are read, by the names used in `SUITE:ID`."""

    KERNELBENCH = "kernelbench"
    ROBUST_KBENCH = "robust-kbench"
    GPU_MODE = "gpu-mode"
    FLASHINFER_BENCH = "flashinfer-bench"
    SOL_EXECBENCH = "sol-execbench"


class Found(Value):
    """One task that a suite holds, not read yet."""

    id: str
    """As in `SUITE:ID`, for instance `1/23`."""
    path: Path
    """File or folder that states it."""


class BackwardStated(Value):
    """What a suite says about the gradients that a task asks for."""

    saved: tuple[str, ...] = ()
    """Tensors that the candidate receives after the output gradients."""
    differentiated: tuple[str, ...] = ()
    """Inputs and parameters whose gradients are wanted; those that hold no floating numbers have none."""


class Draft(Value):
    """A task as its suite states it: one reference source for all settings, and the settings.

    The source of one setting is `body` under constants, one for each of the setting's values, so that whatever may vary
    in a suite varies in the same way as in a user's own file.
    """

    name: str
    """What the slug is made of."""
    body: str
    """Python source of the reference; names of the settings are used as module-level constants."""
    settings: tuple[Setting, ...] = Field(default=({},), min_length=1)
    """Sizes and options to time at; the first ones are the defaults of the source."""
    small: tuple[Setting, ...] = ()
    """Sizes and options that the suite itself checks correctness at."""
    source: str = ""
    """Where the sizes come from, for the benchmark's summary."""
    backward: BackwardStated | None = None
    """For a task that asks for gradients."""
    tolerance: Tolerance | None = None
    """Bounds that have to replace the calibrated ones."""
    notes: tuple[str, ...] = ()
    """What could not be carried over and why, a sentence each."""
    provenance: Provenance
    """Origin and licence."""

    @model_validator(mode="after")
    def _same_names(self) -> Self:
        names = self.settings[0].keys()
        if any(setting.keys() != names for setting in (*self.settings, *self.small)):
            msg = "every setting states a value for the same names"
            raise ValueError(msg)
        return self

    @property
    def direction(self) -> Direction:
        """Forward, or backward when the suite asks for gradients."""
        return Direction.FORWARD if self.backward is None else Direction.BACKWARD

    def source_at(self, setting: Setting) -> str:
        """Return the reference source with the setting's values as its constants."""
        return with_header(self.body, setting)


class Imported(Value):
    """What came of one task of a suite."""

    suite: Suite
    """Suite that holds it."""
    id: str
    """As in `SUITE:ID`; `ID@2` is the second variant of a task whose settings state several ops."""
    task: Task | None = None
    """The task, None when it was refused."""
    refusal: str = ""
    """Why there is no task, in one sentence."""
    notes: tuple[str, ...] = ()
    """What was not carried over and why, a sentence each."""
    seconds: float = 0.0
    """Time that probing the reference took."""
