"""Tells which inputs of an op matter: an op whose results no input changes is passed by a kernel that reads none."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tasks.reference.domains import draw
from tasks.reference.running import Reference
from tasks.values import DomainKind, InputSpec, Precision, Role

_SEED = 4
_SPREAD = 4
"""Differences up to so many times the rounding seen in one run count as rounding."""

Results = tuple[torch.Tensor, ...]


def unread_inputs(reference: Reference, specs: Sequence[InputSpec]) -> tuple[str, ...]:
    """Return the inputs whose values change no result by more than rounding does.

    Parameters
    ----------
    reference
        At the sizes of `specs`.
    specs
        Every tensor that is drawn, with its domain; parameters are drawn too, as for a candidate.

    Raises
    ------
    UserError
        The reference raises.
    """
    generator = torch.Generator().manual_seed(_SEED)
    tensors = {spec.name: _values(spec, generator) for spec in specs}
    exact = reference.forward(tensors, Precision.ORACLE)
    rounding = [
        _SPREAD * _distance(*pair) for pair in zip(reference.forward(tensors, Precision.NATIVE), exact, strict=True)
    ]
    unread = []
    for spec in (one for one in specs if one.role is Role.INPUT):
        changed = reference.forward(tensors | {spec.name: _values(spec, generator)}, Precision.ORACLE)
        if not any(_differ(*pair) for pair in zip(changed, exact, rounding, strict=True)):
            unread.append(spec.name)
    return tuple(unread)


def _values(spec: InputSpec, generator: torch.Generator) -> torch.Tensor:
    """Draw values, the first one too, which `draw` makes negative: a bias of one element would always be the same."""
    values = draw(spec, generator)
    if spec.domain.kind is DomainKind.REAL and values.is_floating_point():
        values.view(-1)[:1] = torch.randn(min(1, values.numel()), generator=generator).to(values.dtype)
    return values


def _differ(one: torch.Tensor, other: torch.Tensor, rounding: float) -> bool:
    if one.shape != other.shape:
        return True
    if not one.is_floating_point():
        return not torch.equal(one, other)
    if not torch.equal(one.isfinite(), other.isfinite()):
        return True
    return _distance(one, other) > rounding


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest difference of two results where both are finite."""
    if one.shape != other.shape or not one.numel() or not one.is_floating_point():
        return 0.0
    difference = (one.to(torch.float64) - other.to(torch.float64)).abs()
    return float(difference[difference.isfinite()].max()) if bool(difference.isfinite().any()) else 0.0
