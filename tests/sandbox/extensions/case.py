"""What one source of the corpus computes: its arguments, and the result by a way of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

SOURCES = Path(__file__).parent / "sources"

Arguments = tuple[torch.Tensor, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One call of a source in `sources/`."""

    name: str
    """File without its suffix."""
    arguments: Callable[[torch.Generator], Arguments]
    """Draws the arguments, on the CPU."""
    expected: Callable[..., torch.Tensor | Arguments]
    """What PyTorch or plain Python computes from them; compared in float64 where the result is a float."""
    tolerance: float = 1e-5
    """Relative and absolute; 0 asks for equal values."""
    entry: str = "forward"

    def text(self) -> str:
        return (SOURCES / f"{self.name}.cu").read_text(encoding="utf-8")

    def drawn(self) -> Arguments:
        return self.arguments(torch.Generator().manual_seed(20))

    def results(self) -> Arguments:
        result = self.expected(*self.drawn())
        return (result,) if isinstance(result, torch.Tensor) else tuple(result)
