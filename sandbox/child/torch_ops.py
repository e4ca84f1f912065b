"""What PyTorch's operators do with values: the table `torch_ops.toml`, and the record of one call."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import resources
from types import FrameType

from sandbox.evidence import HostOp, HostOpKind

_SHOWN_OPS = 50
SCALAR_ELEMENTS = 16
"""A result of at most so many elements may be read by the host: sizes and offsets, not tensors."""


class OpClass(StrEnum):
    """What an operator does with values."""

    EMPTY = "empty"
    FILL = "fill"
    VIEW = "view"
    MOVEMENT = "movement"
    COMPUTE = "compute"


@cache
def _classes() -> dict[str, OpClass]:
    text = resources.files("sandbox.child").joinpath("torch_ops.toml").read_text(encoding="utf-8")
    return {name: OpClass(kind) for kind, names in tomllib.loads(text).items() for name in names}


def classify(name: str) -> OpClass:
    """Return the class of an operator, for instance `aten.mm.default`; one that the table lacks computes."""
    return _classes().get(".".join(name.split(".")[:2]), OpClass.COMPUTE)


@dataclass(slots=True)
class _Tally:
    nbytes: int = 0
    count: int = 0


@dataclass(frozen=True, slots=True)
class _Place:
    name: str
    kind: HostOpKind
    line: int | None


@dataclass(slots=True)
class OpLog:
    """The operators of one call that touched values.

    Parameters
    ----------
    source
        Path of the candidate's file, by which its frames are known.
    on_time
        Given the modelled microseconds of each operator on the card, recorded or not.
    """

    source: str = ""
    on_time: Callable[[float], None] | None = None
    moved_us: float = 0.0
    """Modelled time of what PyTorch did on the card."""
    active: bool = False
    """Whether operators are recorded: only while the candidate's entry runs."""
    _seen: dict[_Place, _Tally] = field(default_factory=dict)

    def start(self) -> None:
        """Begin the record of a call."""
        self._seen.clear()
        self.moved_us = 0.0
        self.active = True

    @property
    def timed(self) -> bool:
        """Whether anybody asks how long operators take."""
        return self.active or self.on_time is not None

    def spend(self, microseconds: float) -> None:
        """Add the modelled time of one operator."""
        if self.active:
            self.moved_us += microseconds
        if self.on_time is not None:
            self.on_time(microseconds)

    def note(self, name: str, kind: HostOpKind, nbytes: int) -> None:
        """Record one operator."""
        if not self.active:
            return
        tally = self._seen.setdefault(_Place(name, kind, line_of(self.source)), _Tally())
        tally.nbytes += nbytes
        tally.count += 1

    def ops(self) -> tuple[HostOp, ...]:
        """Return what was recorded, computing operators first, a bounded number of places."""
        places = sorted(self._seen.items(), key=lambda item: item[0].kind is HostOpKind.MOVEMENT)
        return tuple(
            HostOp(name=place.name, kind=place.kind, nbytes=tally.nbytes, count=tally.count, line=place.line)
            for place, tally in places[:_SHOWN_OPS]
        )


def line_of(source: str) -> int | None:
    """Return the line of `source` that is being executed, the innermost one; None when it is not on the stack."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - inspect.stack reads the source of every frame
    while frame is not None:
        if frame.f_code.co_filename == source:
            return frame.f_lineno
        frame = frame.f_back
    return None
